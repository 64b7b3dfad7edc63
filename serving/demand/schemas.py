"""Requests and responses about demand."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from features.tables import TABLES
from serving.http.schemas import Answer, Id, Instant, Level, ReadQuery, Request

MAX_SERIES = 1_000
MAX_PLAN_ROWS = 1_000
_DEPTH, _PRICE = TABLES["promotions"].columns["depth"], TABLES["prices"].columns["price"]


class SeriesKeys(BaseModel):
    """Keys of a series or total, as far as the published grain has them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    product_id: Id | None = None
    category: Id | None = None
    subcategory: Id | None = None
    department: Id | None = None
    brand: Id | None = None
    location_id: Id | None = None
    region: Id | None = None
    channel: Id | None = None


class PlanRow(BaseModel):
    """A promotion, a price, or both, planned for a product on some days."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    product_id: Id
    location_id: Id | None = Field(None, description="by default every location")
    kind: Id | None = Field(
        None,
        description="of the promotion, such as `mailer`; `none` removes recorded promotions; leave "
        "it out to plan a price alone",
    )
    depth: float | None = Field(
        None, ge=_DEPTH.minimum, le=_DEPTH.maximum, description="share of the price taken off"
    )
    price: float | None = Field(
        None, ge=_PRICE.minimum, description="unit price; by default the recorded one"
    )
    from_date: Annotated[Instant, Field(description="first day")]
    to_date: Instant | None = Field(
        None, description="the day after the last; a price without it has no end"
    )


class ForecastRequest(Request):
    """Series or totals to forecast, and the plan to forecast under."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "series": [{"product_id": "1082185"}],
                    "horizon": 28,
                    "quantiles": [0.1, 0.5, 0.9],
                    "plan": [
                        {
                            "product_id": "1082185",
                            "kind": "mailer",
                            "from_date": "2018-01-08",
                            "to_date": "2018-01-15",
                        }
                    ],
                    "explain": True,
                }
            ]
        }
    )

    series: Annotated[
        list[SeriesKeys],
        FailFast(),
        Field(
            min_length=1,
            max_length=MAX_SERIES,
            description="the series, each by the keys of the published grain, such as "
            "`product_id` and `location_id`, or totals, such as `department`, `location_id` or "
            "{} for the whole chain; answers come in this order",
        ),
    ]
    horizon: int | None = Field(
        None, ge=1, description="days from `as_of`; by default the published horizon"
    )
    quantiles: Annotated[
        list[Level],
        Field(min_length=1, max_length=20, description="levels of the forecast distribution"),
    ] = [0.1, 0.5, 0.9]
    plan: Annotated[
        list[PlanRow] | None,
        FailFast(),
        Field(
            max_length=MAX_PLAN_ROWS,
            description="scenario: a row replaces the recorded plan for its product, location and "
            "kind on its days; the rest of the recorded plan stays. By default the recorded plan; "
            "after its last day promotions are assumed to be as usual. An empty plan cancels all "
            "promotions",
        ),
    ] = None
    plan_known_until: Instant | None = Field(
        None,
        description="the last day for which `plan` and the recorded plan are complete: what "
        "neither names is not planned. By default only the days of a planned promotion are known, "
        "of its product; the whole horizon for an empty plan",
    )
    explain: bool = Field(default=False, description="whether to split each mean by reason")


class ForecastQuery(ReadQuery, SeriesKeys):
    """Query for the forecast of one series or total, named by its keys."""

    horizon: int | None = Field(
        None, ge=1, description="days from `as_of`; by default the published horizon"
    )
    quantiles: Annotated[
        list[Level],
        Field(min_length=1, max_length=20, description="levels of the forecast distribution"),
    ] = [0.1, 0.5, 0.9]
    explain: bool = Field(default=False, description="whether to split each mean by reason")

    def request(self) -> ForecastRequest:
        """Return the request for several series that asks the same."""
        keys = {name: getattr(self, name) for name in SeriesKeys.model_fields}
        return self.expanded(ForecastRequest, series=[SeriesKeys(**keys)])


class UnitsQuantile(BaseModel):
    """A quantile of the units of one period."""

    level: Level
    units: float = Field(ge=0)


class ReasonUnits(BaseModel):
    """The units of a forecast that one reason explains; below 0 where it lowers the forecast."""

    reason: Literal["level", "trend", "season", "holiday", "promotion", "price", "other"]
    units: float


class ForecastPoint(BaseModel):
    """A forecast for one period."""

    date: dt.date = Field(description="the period's first day")
    mean: float = Field(ge=0)
    quantiles: list[UnitsQuantile] = Field(description="one for each of `quantiles`")
    mean_recorded_plan: float | None = Field(
        None, ge=0, description="with a plan: the mean under the recorded plan"
    )
    difference: float | None = Field(None, description="with a plan: mean - mean_recorded_plan")
    explanation: list[ReasonUnits] | None = Field(
        None, description="with `explain`: units by reason, which sum to the mean"
    )


class Forecast(SeriesKeys):
    """The forecast of a series or total, with its keys, such as `product_id`."""

    model_config = ConfigDict(extra="ignore")

    basis: Literal["own_history", "look_alikes", "total"] = Field(
        description="sales that the forecast rests on: of the series, of similar series, or of all "
        "series of a total"
    )
    total_of: int | None = Field(None, description="of a total: its number of series")
    plan_known_until: dt.date | None = Field(
        description="the last day on which promotions are known; null if none were ever recorded"
    )
    assumes: list[str] = Field(
        description="what the forecast assumes beyond the known plan, such as `promotions as usual "
        "after 2017-12-31`; empty if nothing"
    )
    notes: list[str] | None = Field(
        None, description="with a plan: that it changes no forecast of the series"
    )
    forecast: list[ForecastPoint]


AnomalyReason = Literal[
    "closure",
    "stock_out",
    "holiday",
    "event",
    "promotion_not_recorded",
    "promotion_not_seen",
    "unexplained",
]


class AnomaliesRequest(Request):
    """Filters of the recent anomalies."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reasons": ["stock_out", "closure"], "limit": 20}]}
    )

    series: Annotated[
        list[SeriesKeys],
        FailFast(),
        Field(
            max_length=MAX_SERIES,
            description="by one or more keys of the published grain; by default all",
        ),
    ] = []
    from_date: Instant | None = Field(None, description="the first day")
    reasons: Annotated[list[AnomalyReason], Field(max_length=20)] = Field(
        [], description="by default all"
    )
    limit: int = Field(100, ge=1, le=10_000)


class Anomaly(SeriesKeys):
    """One period with unexpected sales, with the keys of its series (null: all)."""

    model_config = ConfigDict(extra="ignore")

    basis: Literal["own_history"]
    date: dt.date = Field(description="the period's first day")
    units: float = Field(description="units sold")
    mean: float = Field(description="units expected by an earlier forecast")
    low: float = Field(description="lower end of the range of ordinary periods")
    high: float = Field(description="upper end of the range of ordinary periods")
    size: float = Field(description="units - mean")
    score: float = Field(description="deviation, where ordinary periods have a spread of 1")
    reason: AnomalyReason = Field(description="the likeliest one")
    series: int = Field(description="number of series; more than one in a closure")


class ForecastAnswer(Answer[Forecast]):
    """The forecast of each series."""


class AnomalyAnswer(Answer[Anomaly]):
    """Anomalies, the largest first."""
