"""Requests and answers of the customer routes: churn, next purchase, value and the profile."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.fields import FieldInfo

from features.tables import TABLES, Column
from serving.customers.unknown import Unknown
from serving.http.schemas import MOST_IDS, CustomerIds, Days, Id, Probability, Request, Result

Text = Annotated[str, Field(min_length=1, max_length=200)]
Instant = Annotated[
    str, Field(max_length=40, description="ISO date or datetime, the retailer's local time")
]

# The limit of units in the import, and ten times its limit of money a unit. Sums over as many lines
# as fit into a request body are still exact.
MAX_UNITS, MAX_MONEY = 1e6, 1e10


_ORDERS, _TOUCHPOINTS = TABLES["orders"].columns, TABLES["touchpoints"].columns


def _pattern(column: Column) -> str:
    """Return the regular expression of a column's controlled vocabulary."""
    return f"^({'|'.join(column.words)})$"


class PostedOrder(BaseModel):
    """One order line of a posted history; a missing field is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    revenue: float | None = Field(
        None,
        ge=-MAX_MONEY,
        le=MAX_MONEY,
        allow_inf_nan=False,
        description="paid for the line; required if the records have revenue",
    )
    order_id: Text | None = None
    product_id: Text | None = None
    category: Text | None = Field(None, description="used if the product is unknown")
    location_id: Text | None = None
    channel: Text | None = None
    quantity: float | None = Field(
        None,
        ge=-MAX_UNITS,
        le=MAX_UNITS,
        allow_inf_nan=False,
        description="units, by default one; below 0 the line is a return",
    )
    discount: float | None = Field(
        None, ge=_ORDERS["discount"].minimum, le=MAX_MONEY, allow_inf_nan=False
    )
    kind: Annotated[str, Field(pattern=_pattern(_ORDERS["kind"]))] = "sale"


class PostedTouchpoint(BaseModel):
    """Something sent to, or done by, a customer of a posted history."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    kind: Annotated[str, Field(pattern=_pattern(_TOUCHPOINTS["kind"]))]
    campaign_id: Text = "unnamed"


class History(BaseModel):
    """A customer by posted orders, whether the records know the customer or not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    customer_id: Id | None = Field(None, description="repeated in the answer")
    orders: Annotated[list[PostedOrder], FailFast()]
    touchpoints: Annotated[list[PostedTouchpoint], FailFast()] = []
    attributes: dict[Text, Text | float | bool] = Field(
        {}, max_length=100, description="known columns of the records' table `customers`"
    )


def histories_until(as_of_field: str) -> FieldInfo:
    """Describe posted histories of a request whose field `as_of_field` sets their end."""
    field: FieldInfo = Field(
        min_length=1,
        max_length=MOST_IDS,
        description="instead of ids: orders of customers, scored as the model scores known ones; "
        f"`{as_of_field}` may then be any later instant",
    )
    return field


# Fail fast: see `CustomerIds`.
AnyHistories = Annotated[list[History], FailFast()]
PostedHistories = Annotated[AnyHistories, histories_until("as_of")]


class CustomersRequest(Request):
    """Customers, by ids or by posted orders."""

    customer_ids: CustomerIds = []
    histories: PostedHistories = []
    unknown: Unknown = "newcomer"


class ChurnRequest(CustomersRequest):
    """Request for the probability of no purchase within a horizon."""

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
        description="length of the target window; by default the model's",
    )


class NextPurchaseRequest(CustomersRequest):
    """Request for the days until a customer buys again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "within_days": [7, 14, 30]}]}
    )

    within_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            min_length=1,
            max_length=20,
            description="for each, the probability of a purchase within so many days",
        ),
    ] = [7, 14, 30]
    quantiles: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]],
        Field(min_length=1, max_length=20, description="levels of the distribution of days"),
    ] = [0.1, 0.5, 0.9]
    category: Id | None = Field(None, description="a category; by default purchases of anything")


class ValueRequest(CustomersRequest):
    """Request for the orders and spend of customers."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "horizons_days": [30, 90, 365]}]}
    )

    horizons_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            max_length=20,
            description="days ahead; by default the published ones",
        ),
    ] = []


class ChurnFacts(BaseModel):
    """The churn probability of a customer."""

    churn_probability: Probability = Field(description="of no purchase within `horizon_days`")
    horizon_days: int
    explanations: list[str] = Field(
        description="what supports the answer, with its direction; strongest first"
    )
    contributions: list[float] = Field(
        description="of each explanation, in log-odds of churn at the model's horizon beside the "
        "mean over customers: positive values raise churn"
    )
    extrapolated: bool = Field(
        description="whether the horizon is beyond the follow-up of the model and the probability "
        "extrapolated by a buy-till-you-die model"
    )


class Segments(BaseModel):
    """Groups that a customer belongs to."""

    stage: str = Field(
        description="lapsed from a churn probability of 2/3 on at the trained horizon, slipping "
        "from 1/3 on; below it won back, growing or loyal. new: fewer than three visits, the first "
        "within two horizons"
    )
    rfm_segment: str | None = Field(description="such as `champion`; null without a purchase")
    rfm_score: int | None = Field(description="recency, frequency and money, 111 to 555")


class Churn(Result, ChurnFacts, Segments):
    """The churn answer for one customer."""

    customer_id: str = Field(description="as requested; the position of a history without one")


class NextPurchaseFacts(BaseModel):
    """The distribution of the days until a customer buys again.

    One field `p_within_<days>` for each of `within_days`, one such as `q25` for each quantile. One
    minus `p_within_<days>` is churn at that horizon. Days beyond 3650 are null.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    expected_days: Days | None = Field(
        description="the median: a purchase is as likely before as after; null if none within ten "
        "years is more likely"
    )
    q10: Days | None
    q50: Days | None
    q90: Days | None
    explanations: list[str] = Field(
        description="what supports the answer, with its direction; strongest first"
    )
    contributions: list[float] = Field(
        description="of each explanation, in log-odds of a purchase beside the mean over "
        "customers: positive values mean sooner"
    )
    extrapolated: list[str] = Field(
        description="the fields that lie beyond the follow-up of the model, extrapolated by a "
        "buy-till-you-die model; null fields among them"
    )


class NextPurchase(Result, NextPurchaseFacts):
    """The next-purchase answer for one customer, of anything or of one category."""

    customer_id: str
    category: str | None = None


class ValueFacts(BaseModel):
    """Past and expected spend of a customer, in the dataset's currency.

    For each of the days ahead the fields `orders_<days>`, `value_<days>`, `value_<days>_q10` and
    `value_<days>_q90`; the last two bound the 80 % interval.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    historic_value: float = Field(description="spent so far, net of returns")
    returned_value: float = Field(description="money of all returns so far")
    total_value: float = Field(description="spent so far and expected in the next 365 days")
    average_order_value: float | None
    days_between_orders: float | None
    expected_next_order: dt.date | None = Field(
        description="`expected_days` of the next purchase as a date"
    )
    explanations: list[str] = Field(
        description="what supports the answer, with its direction; strongest first"
    )
    contributions: list[float] = Field(
        description="of each explanation, in logs of the spend beside the mean over customers: "
        "positive values raise the value"
    )


class Value(Result, ValueFacts):
    """The value answer for one customer."""

    customer_id: str


class NextCategory(NextPurchaseFacts):
    """The next-purchase answer for one category."""

    category: str


class CustomerRequest(CustomersRequest):
    """Request for customer profiles."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": ["1"]}]})


class Customer(Result, Segments):
    """Profile and predictions of one customer; null where no model is published."""

    customer_id: str
    cluster: str | None = Field(
        description="the cluster of similar customers, named by what distinguishes it"
    )
    first_purchase: dt.date | None
    last_purchase: dt.date | None
    visits: int
    days_since_purchase: int | None
    usual_gap_days: float | None
    spend_per_visit: float | None = Field(description="relative to the typical spend of a visit")
    returned_value: float | None = Field(description="money of all returns so far")
    top_categories: list[str] = Field(description="bought on most days first")
    favourite_channel: str | None
    favourite_location: str | None
    churn: ChurnFacts
    next_purchase: NextPurchaseFacts | None
    next_categories: list[NextCategory] = Field(
        description="most likely within two weeks first, among those with enough history"
    )
    value: ValueFacts | None
