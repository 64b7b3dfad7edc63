"""What the endpoints are asked and what they answer; from these the OpenAPI page is made."""

import datetime as dt
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

MOST_IDS = 10_000
MOST_SERIES = 1_000

Id = Annotated[str, Field(min_length=1, max_length=200)]
# Fail fast: the first bad entry is reported, and ten thousand bad ones cost no more than one.
CustomerIds = Annotated[
    list[Id],
    FailFast(),
    Field(
        min_length=1,
        max_length=MOST_IDS,
        description="who to answer for, one or many; answers come in this order",
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(ge=0, description="days from `as_of`")]


class Request(BaseModel):
    """What all requests share: nothing is accepted that is not named."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    as_of: str | None = Field(
        None,
        max_length=40,
        description="the instant that the answer has to be as of, an ISO date or datetime: a "
        "request for another than the published one is refused; by default the published one",
    )


class RecommendRequest(Request):
    """Which products to show."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1", "2"], "k": 10}]}
    )

    customer_ids: CustomerIds
    k: int = Field(10, ge=1, le=100, description="products a customer")
    exclude_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(max_length=MOST_IDS, description="products not to show, such as the basket's"),
    ] = []


class ForecastRequest(Request):
    """How much of which series will sell."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"series": [{"product_id": "1082185"}], "horizon": 28, "quantiles": [0.1, 0.5, 0.9]}
            ]
        }
    )

    series: Annotated[
        list[dict[str, Id]],
        FailFast(),
        Field(
            min_length=1,
            max_length=MOST_SERIES,
            description="the series, each by the keys of the published grain, such as "
            "`product_id` and `location_id`; answers come in this order",
        ),
    ]
    horizon: int | None = Field(
        None, ge=1, description="days from `as_of`; by default as far as the model looks"
    )
    quantiles: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]],
        Field(min_length=1, max_length=20, description="levels of the forecast distribution"),
    ] = [0.1, 0.5, 0.9]


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


class Result(BaseModel):
    """What every result says besides its answer."""

    basis: str = Field(
        description="what the answer rests on: `history`, `few_purchases`, `population`; "
        "for series `own_history`, `look_alikes`"
    )


class Item(BaseModel):
    """One recommended product."""

    rank: int = Field(ge=1)
    product_id: str
    score: float = Field(description="higher is better; comparable within one customer")
    reason: str = Field(description="`repeat`, `similar`, `popular`, ...")


class Recommendation(Result):
    """Products for one customer, best first."""

    customer_id: str
    items: list[Item]


class ForecastPoint(BaseModel):
    """A forecast for one period; one further field a quantile, such as `q10`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    date: dt.date = Field(description="the period's first day")
    mean: float = Field(ge=0)


class Forecast(Result):
    """A series' forecast, with the keys that name it, such as `product_id`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str] = Field(init=False)

    forecast: list[ForecastPoint]


class Churn(Result):
    """Whether one customer leaves."""

    customer_id: str
    churn_probability: Probability = Field(description="of no purchase within `horizon_days`")
    horizon_days: int
    segment: str
    reasons: list[str] = Field(description="what weighed most, the heaviest first")


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


AnyResult = TypeVar("AnyResult", bound=Result)


class Answer(BaseModel, Generic[AnyResult]):
    """The shape of every answer."""

    model_version: str = Field(description="the registered model that answered")
    as_of: dt.datetime = Field(description="the instant up to which the answer knows the records")
    results: list[AnyResult] = Field(description="in the order asked")


class Error(BaseModel):
    """The shape of every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "invalid_input",
                    "message": "k = 0: input should be greater than or equal to 1.",
                    "field": "k",
                    "request_id": "5f1c6e0a9b7d4c3e8f2a1b0c9d8e7f6a",
                }
            ]
        }
    )

    code: str
    message: str
    field: str | None = Field(description="the input at fault, such as `series[0].product_id`")
    request_id: str = Field(description="as in the header `X-Request-ID`")
