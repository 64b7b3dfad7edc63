"""Who is leaving, and when customers buy again."""

from typing import Annotated

from pydantic import ConfigDict, Field

from serving.schemas.base import CustomerIds, Days, Id, Probability, Request, Result


class ChurnRequest(Request):
    """Who will not buy within the horizon."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "horizon_days": 28}]}
    )

    customer_ids: CustomerIds
    horizon_days: int | None = Field(
        None, ge=1, description="length of the target window; by default the model's"
    )


class NextPurchaseRequest(Request):
    """When a customer buys again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "within_days": [7, 14, 30]}]}
    )

    customer_ids: CustomerIds
    within_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            min_length=1,
            max_length=20,
            description="for each of these, the probability to buy before it has passed",
        ),
    ] = [7, 14, 30]
    category: Id | None = Field(None, description="ask about one category; by default about any")


class Churn(Result):
    """Whether one customer leaves."""

    customer_id: str
    churn_probability: Probability = Field(description="of no purchase within `horizon_days`")
    horizon_days: int
    segment: str
    reasons: list[str] = Field(description="what weighed most, the heaviest first")
    contributions: list[float] = Field(
        description="of each reason, in log-odds of churn: what is above 0 speaks for leaving"
    )
    stage: str = Field(description="new, growing, loyal, slipping, lapsed or won back")
    rfm_segment: str | None = Field(description="such as `champion`; none without a purchase")
    rfm_score: int | None = Field(description="recency, frequency and money, 111 to 555")


class NextPurchase(Result):
    """When one customer buys again; one field `p_within_<days>` for each of `within_days`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Probability] = Field(init=False)

    customer_id: str
    category: str | None = None
    expected_days: Days
    q10: Days
    q50: Days
    q90: Days
