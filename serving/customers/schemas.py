"""Who is leaving, and when customers buy again."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.fields import FieldInfo

from serving.http.schemas import MOST_IDS, CustomerIds, Days, Id, Probability, Request, Result

Text = Annotated[str, Field(min_length=1, max_length=200)]
Instant = Annotated[
    str, Field(max_length=40, description="ISO date or datetime, the retailer's local time")
]

# What the import takes of units, and ten times what it takes of money a unit: no line of a shop
# holds more, and the sum of as many lines as a body has room for is still a whole number.
MOST_UNITS, MOST_MONEY = 1e6, 1e10


class PostedOrder(BaseModel):
    """One order line of a posted history; what is not said is taken as not known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    revenue: float | None = Field(
        None,
        ge=-MOST_MONEY,
        le=MOST_MONEY,
        allow_inf_nan=False,
        description="paid for the line; needed where the records have it",
    )
    order_id: Text | None = None
    product_id: Text | None = None
    category: Text | None = Field(None, description="counts where the product is not known")
    location_id: Text | None = None
    channel: Text | None = None
    quantity: float | None = Field(
        None,
        ge=-MOST_UNITS,
        le=MOST_UNITS,
        allow_inf_nan=False,
        description="units, by default one; below 0 the line is a return",
    )
    discount: float | None = Field(None, ge=0, le=MOST_MONEY, allow_inf_nan=False)
    kind: Annotated[str, Field(pattern="^(sale|return)$")] = "sale"


class PostedTouchpoint(BaseModel):
    """Something that was sent to, or done by, a customer of a posted history."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    kind: Text = Field(description="sent, seen, clicked, visited, redeemed")
    campaign_id: Text = "unnamed"


class History(BaseModel):
    """A customer by their own orders, known to the records or not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    customer_id: Id | None = Field(None, description="only repeated in the answer")
    orders: Annotated[list[PostedOrder], FailFast()]
    touchpoints: Annotated[list[PostedTouchpoint], FailFast()] = []
    attributes: dict[Text, Text | float | bool] = Field(
        {}, max_length=100, description="columns of the records' table `customers`, as far as known"
    )


def histories_until(given: str) -> FieldInfo:
    """Describe posted histories where the field `given` says up to when they go."""
    found: FieldInfo = Field(
        min_length=1,
        max_length=MOST_IDS,
        description="instead of ids: orders of customers whom the records need not know, answered "
        f"as the model answers for its own; `{given}` may then be any later instant",
    )
    return found


# Fail fast: see `CustomerIds`.
AnyHistories = Annotated[list[History], FailFast()]
Histories = Annotated[AnyHistories, histories_until("as_of")]


class CustomersRequest(Request):
    """Who is asked about: customers by their ids, or by their own orders."""

    customer_ids: CustomerIds = []
    histories: Histories = []


class ChurnRequest(CustomersRequest):
    """Who will not buy within the horizon."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"customer_ids": ["1"], "horizon_days": 28},
                {"histories": [{"orders": [{"ts": "2017-11-20", "revenue": 31.5}]}]},
            ]
        }
    )

    horizon_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="length of the target window; by default the model's. Another is answered "
        "from the distribution of days to the next purchase",
    )


class NextPurchaseRequest(CustomersRequest):
    """When a customer buys again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "within_days": [7, 14, 30]}]}
    )

    within_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            min_length=1,
            max_length=20,
            description="for each of these, the probability to buy before it has passed",
        ),
    ] = [7, 14, 30]
    quantiles: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]],
        Field(min_length=1, max_length=20, description="levels of the distribution of days"),
    ] = [0.1, 0.5, 0.9]
    category: Id | None = Field(None, description="ask about one category; by default about any")


class ValueRequest(CustomersRequest):
    """What customers will order and spend."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "horizons_days": [30, 90, 365]}]}
    )

    horizons_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            max_length=20,
            description="days ahead, any number of them; by default those that are published",
        ),
    ] = []


class ChurnFacts(BaseModel):
    """Whether a customer leaves."""

    churn_probability: Probability = Field(description="of no purchase within `horizon_days`")
    horizon_days: int
    segment: str
    explanations: list[str] = Field(description="what weighed most, the heaviest first")
    contributions: list[float] = Field(
        description="of each reason, in log-odds of churn: what is above 0 speaks for leaving"
    )
    answered_by: str = Field(
        "churn",
        description="`next-purchase` where the horizon is not the churn model's own; "
        "`next-purchase, extrapolated` where it is beyond that model's follow-up, too",
    )


class Standing(BaseModel):
    """Where a customer stands, by rules and not by a model."""

    stage: str = Field(description="new, growing, loyal, slipping, lapsed or won back")
    rfm_segment: str | None = Field(description="such as `champion`; none without a purchase")
    rfm_score: int | None = Field(description="recency, frequency and money, 111 to 555")


class Churn(Result, ChurnFacts, Standing):
    """Whether one customer leaves."""

    customer_id: str = Field(description="as asked; of a history without one, its place")


class NextPurchaseFacts(BaseModel):
    """When a customer buys again.

    One field `p_within_<days>` for each of `within_days`, one such as `q25` for each quantile.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    expected_days: Days
    q10: Days
    q50: Days
    q90: Days
    explanations: list[str] = Field(description="what weighed most, the heaviest first")
    contributions: list[float] = Field(
        description="of each reason, in log-odds of buying on a day: above 0 speaks for soon"
    )
    extrapolated: list[str] = Field(
        [],
        description="the chances beyond the days for which customers are followed: there BG/NBD "
        "says how it goes on",
    )


class NextPurchase(Result, NextPurchaseFacts):
    """When one customer buys again, anything or in one category."""

    customer_id: str
    category: str | None = None


class ValueFacts(BaseModel):
    """What a customer is worth, in the dataset's currency.

    For each of the days ahead the fields `orders_<days>`, `value_<days>`, `value_<days>_q10` and
    `value_<days>_q90`; the last two bound an interval of 80 %.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    historic_value: float = Field(description="spent so far")
    total_value: float = Field(description="spent so far and expected in the next 365 days")
    average_order_value: float | None
    days_between_orders: float | None
    expected_next_order: dt.date | None
    explanations: list[str] = Field(description="what weighed most, the heaviest first")
    contributions: list[float] = Field(
        description="of each reason, in logs of the spend: above 0 speaks for more"
    )


class Value(Result, ValueFacts):
    """What one customer is worth."""

    customer_id: str


class NextCategory(NextPurchaseFacts):
    """When a customer next buys from one category."""

    category: str


class CustomerRequest(CustomersRequest):
    """Whose profiles are asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": ["1"]}]})


class Customer(Result, Standing):
    """All that is known and predicted of one customer; null where no model is published."""

    customer_id: str
    cluster: str | None = Field(description="the group of those who buy alike, by what leads it")
    first_purchase: dt.date | None
    last_purchase: dt.date | None
    visits: int
    days_since_purchase: int | None
    usual_gap_days: float | None
    spend_per_visit: float | None = Field(description="over what a visit typically brings")
    top_categories: list[str] = Field(description="bought on the most days first")
    favourite_channel: str | None
    favourite_location: str | None
    churn: ChurnFacts
    next_purchase: NextPurchaseFacts | None
    next_categories: list[NextCategory] = Field(
        description="likeliest within two weeks first; those with enough history alone"
    )
    value: ValueFacts | None
