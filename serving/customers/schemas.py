"""Requests and answers of the customer routes: churn, next purchase, value and the profile."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.customers.history_schemas import IdsOrHistories, PostedHistories
from serving.customers.unknown import Unknown
from serving.http.schemas import (
    Answer,
    AnyRequest,
    CustomerIds,
    Days,
    Id,
    Level,
    Probability,
    ReadQuery,
    Request,
)

Basis = Annotated[
    Literal["history", "few_purchases", "population", "live"],
    Field(
        description="data that the result rests on: `history`, three visits or more; "
        "`few_purchases`, two; `population`, one or none, so other customers; `live`, the records "
        "and purchases or returns that were logged since, up to the `as_of` of the result"
    ),
]
LiveInstant = Annotated[
    str | None,
    Field(
        description="instant of a result of basis `live`, just after the last logged purchase or "
        "return: days count from it"
    ),
]
Stage = Literal["new", "growing", "loyal", "slipping", "lapsed", "won back"]


class KnownCustomers(Request):
    """Customers by id."""

    customer_ids: CustomerIds
    unknown: Unknown = "newcomer"


class PostedCustomersRequest(Request):
    """Customers by posted orders, instead of ids."""

    histories: PostedHistories


class OneCustomer(ReadQuery):
    """One customer by id."""

    customer_id: Id
    unknown: Unknown = "newcomer"

    def of(self, model: type[AnyRequest]) -> AnyRequest:
        """Return the request for several customers that asks the same."""
        return self.expanded(model, customer_ids=[self.customer_id])


class ChurnOptions(Request):
    """What a request for churn chooses."""

    horizon_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="length of the target window; by default the model's",
    )


class ChurnRequest(KnownCustomers, ChurnOptions):
    """Request for the probability of no purchase within a horizon."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "horizon_days": 28}]}
    )


class ChurnOfHistories(PostedCustomersRequest, ChurnOptions):
    """Request for the probability of no purchase, of customers by posted orders."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"histories": [{"orders": [{"ts": "2017-11-20", "revenue": 31.5}]}]}]
        }
    )


class ChurnQuery(OneCustomer, ChurnOptions):
    """Query for the probability of no purchase of one customer."""


class NextPurchaseOptions(Request):
    """What a request for the next purchase chooses."""

    within_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            min_length=1,
            max_length=20,
            description="for each, the probability of a purchase within so many days",
        ),
    ] = [7, 14, 30]
    quantiles: Annotated[
        list[Level],
        Field(min_length=1, max_length=20, description="levels of the distribution of days"),
    ] = [0.1, 0.5, 0.9]
    category: Id | None = Field(None, description="a category; by default purchases of anything")


class NextPurchaseRequest(KnownCustomers, NextPurchaseOptions):
    """Request for the days until a customer buys again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "within_days": [7, 14, 30]}]}
    )


class NextPurchaseOfHistories(PostedCustomersRequest, NextPurchaseOptions):
    """Request for the days until customers with posted orders buy again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"histories": [{"orders": [{"ts": "2017-11-20", "revenue": 31.5}]}]}]
        }
    )


class NextPurchaseQuery(OneCustomer, NextPurchaseOptions):
    """Query for the days until one customer buys again."""


class ValueOptions(Request):
    """What a request for the value chooses."""

    horizons_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(
            max_length=20,
            description="days ahead; by default the published ones",
        ),
    ] = []


class ValueRequest(KnownCustomers, ValueOptions):
    """Request for the orders and spend of customers."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1"], "horizons_days": [30, 90, 365]}]}
    )


class ValueOfHistories(PostedCustomersRequest, ValueOptions):
    """Request for the orders and spend of customers with posted orders."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"histories": [{"orders": [{"ts": "2017-11-20", "revenue": 31.5}]}]}]
        }
    )


class ValueQuery(OneCustomer, ValueOptions):
    """Query for the orders and spend of one customer."""


class CustomerRequest(KnownCustomers):
    """Request for customer profiles."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": ["1"]}]})


class CustomerOfHistories(PostedCustomersRequest):
    """Request for the profiles of customers with posted orders."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"histories": [{"orders": [{"ts": "2017-11-20", "revenue": 31.5}]}]}]
        }
    )


AnyChurnRequest = IdsOrHistories[ChurnRequest, ChurnOfHistories]
AnyNextPurchaseRequest = IdsOrHistories[NextPurchaseRequest, NextPurchaseOfHistories]
AnyValueRequest = IdsOrHistories[ValueRequest, ValueOfHistories]
AnyCustomerRequest = IdsOrHistories[CustomerRequest, CustomerOfHistories]


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

    stage: Stage = Field(
        description="lapsed from a churn probability of 2/3 on at the trained horizon, slipping "
        "from 1/3 on; below it won back, growing or loyal. new: fewer than three visits, the first "
        "within two horizons"
    )
    rfm_segment: str | None = Field(description="such as `champion`; null without a purchase")
    rfm_score: int | None = Field(description="recency, frequency and money, 111 to 555")


class Churn(ChurnFacts, Segments):
    """The churn answer for one customer."""

    customer_id: str = Field(description="as requested; the position of a history without one")
    basis: Basis
    as_of: LiveInstant = None


class WithinDays(BaseModel):
    """The probability of a purchase within some days; one minus it is churn at that horizon."""

    days: int
    probability: Probability
    extrapolated: bool = Field(
        description="whether the days are beyond the follow-up of the model, so that the "
        "probability is extrapolated by a buy-till-you-die model"
    )


class DaysQuantile(BaseModel):
    """A quantile of the days until the next purchase."""

    level: Level
    days: Days | None = Field(
        description="null if more than 3650: no purchase within ten years is more likely"
    )
    extrapolated: bool = Field(description="whether it lies beyond the follow-up of the model")


class NextPurchaseFacts(BaseModel):
    """The distribution of the days until a customer buys again."""

    expected_days: Days | None = Field(
        description="the median: a purchase is as likely before as after; null if none within ten "
        "years is more likely"
    )
    extrapolated: bool = Field(
        description="whether `expected_days` lies beyond the follow-up of the model, or is null"
    )
    within: list[WithinDays] = Field(description="one for each of `within_days`")
    quantiles: list[DaysQuantile] = Field(description="one for each of `quantiles`")
    explanations: list[str] = Field(
        description="what supports the answer, with its direction; strongest first"
    )
    contributions: list[float] = Field(
        description="of each explanation, in log-odds of a purchase beside the mean over "
        "customers: positive values mean sooner"
    )


class NextPurchase(NextPurchaseFacts):
    """The next-purchase answer for one customer, of anything or of one category."""

    customer_id: str
    basis: Basis
    as_of: LiveInstant = None
    category: str | None = None


class ValueAhead(BaseModel):
    """Expected orders and spend of the next days."""

    days: int
    orders: float
    value: float
    low: float = Field(description="lower bound of the 80 % interval of the value")
    high: float = Field(description="its upper bound")


class ValueFacts(BaseModel):
    """Past and expected spend of a customer, in the dataset's currency."""

    horizons: list[ValueAhead] = Field(description="one for each of `horizons_days`")
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


class Value(ValueFacts):
    """The value answer for one customer."""

    customer_id: str
    basis: Basis
    as_of: LiveInstant = None


class NextCategory(NextPurchaseFacts):
    """The next-purchase answer for one category."""

    category: str


class Customer(Segments):
    """Profile and predictions of one customer; null where no model is published."""

    customer_id: str
    basis: Basis
    as_of: LiveInstant = None
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


class ChurnAnswer(Answer[Churn]):
    """Churn of each customer."""


class NextPurchaseAnswer(Answer[NextPurchase]):
    """The next purchase of each customer."""


class ValueAnswer(Answer[Value]):
    """The value of each customer."""


class CustomerAnswer(Answer[Customer]):
    """The profile of each customer."""
