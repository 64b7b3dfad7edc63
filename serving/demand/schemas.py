"""Requests and responses about demand."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from features.tables import TABLES
from serving.http.schemas import Id, Request, Result

MAX_SERIES = 1_000
MAX_PLAN_ROWS = 1_000
_DEPTH, _PRICE = TABLES["promotions"].columns["depth"], TABLES["prices"].columns["price"]


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
    from_date: Annotated[str, Field(max_length=40, description="first day, ISO")]
    to_date: str | None = Field(
        None,
        max_length=40,
        description="the day after the last, ISO; a price without it has no end",
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
        list[dict[str, Id]],
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
        list[Annotated[float, Field(gt=0, lt=1)]],
        Field(
            min_length=1,
            max_length=20,
            description="levels of the forecast distribution; 0.1 is the field `q10`, 0.975 is "
            "`q97.5`",
        ),
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
    plan_known_until: str | None = Field(
        None,
        max_length=40,
        description="the last day, ISO, for which `plan` and the recorded plan are complete: what "
        "neither names is not planned. By default only the days of a planned promotion are known, "
        "of its product; the whole horizon for an empty plan",
    )
    explain: bool = Field(default=False, description="whether to split each mean by reason")


class ForecastPoint(BaseModel):
    """A forecast for one period, with a field per quantile, such as `q10`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    date: dt.date = Field(description="the period's first day")
    mean: float = Field(ge=0)
    mean_recorded_plan: float | None = Field(
        None, ge=0, description="with a plan: the mean under the recorded plan"
    )
    difference: float | None = Field(None, description="with a plan: mean - mean_recorded_plan")
    explanation: dict[str, float] | None = Field(
        None,
        description="with `explain`: units by reason (level, trend, season, holiday, promotion, "
        "price, other), which sum to the mean",
    )


class Forecast(Result):
    """The forecast of a series or total, with its keys, such as `product_id`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str] = Field(init=False)

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


class AnomaliesRequest(Request):
    """Filters of the recent anomalies."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reasons": ["stock_out", "closure"], "limit": 20}]}
    )

    series: Annotated[
        list[dict[str, Id]],
        FailFast(),
        Field(
            max_length=MAX_SERIES,
            description="by one or more keys of the published grain; by default all",
        ),
    ] = []
    from_date: str | None = Field(None, max_length=40, description="the first day, ISO")
    reasons: Annotated[list[str], Field(max_length=20)] = Field(
        [],
        description="by default all: closure, stock_out, holiday, event, promotion_not_recorded, "
        "promotion_not_seen, unexplained",
    )
    limit: int = Field(100, ge=1, le=10_000)


class Anomaly(Result):
    """One period with unexpected sales, with the keys of its series (null: all)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | None] = Field(init=False)

    date: dt.date = Field(description="the period's first day")
    units: float = Field(description="units sold")
    mean: float = Field(description="units expected by an earlier forecast")
    low: float = Field(description="lower end of the range of ordinary periods")
    high: float = Field(description="upper end of the range of ordinary periods")
    size: float = Field(description="units - mean")
    score: float = Field(description="deviation, where ordinary periods have a spread of 1")
    reason: str = Field(description="the likeliest one")
    series: int = Field(description="number of series; more than one in a closure")
