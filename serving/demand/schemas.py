"""How much of which series will sell."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.http.schemas import Id, Request, Result

MOST_SERIES = 1_000
MOST_PLANNED = 1_000


class Planned(BaseModel):
    """A promotion, a price, or both, that are planned for a product on some days."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    product_id: Id
    location_id: Id | None = Field(None, description="by default every location")
    kind: Id | None = Field(
        None,
        description="of the promotion, such as `mailer`; `none` takes off what is booked; leave "
        "it out to plan a price alone",
    )
    depth: float | None = Field(None, ge=0, le=1, description="share of the price taken off")
    price: float | None = Field(None, ge=0, description="unit price; by default the booked one")
    from_date: Annotated[str, Field(max_length=40, description="first day, ISO")]
    to_date: str | None = Field(
        None,
        max_length=40,
        description="the day after the last, ISO; a price without it stays",
    )


class ForecastRequest(Request):
    """How much of which series will sell."""

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
                    "why": True,
                }
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
            "`product_id` and `location_id`, or totals, such as `department`, `location_id` or "
            "{} for the whole chain; answers come in this order",
        ),
    ]
    horizon: int | None = Field(
        None, ge=1, description="days from `as_of`; by default as far as the model looks"
    )
    quantiles: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]],
        Field(
            min_length=1,
            max_length=20,
            description="levels of the forecast distribution, any; 0.1 is answered as `q10`, "
            "0.975 as `q97.5`",
        ),
    ] = [0.1, 0.5, 0.9]
    plan: Annotated[
        list[Planned],
        FailFast(),
        Field(
            max_length=MOST_PLANNED,
            description="what if: forecast as if this stood in the books; a row replaces what is "
            "booked for its product, location and kind on its days, the rest stays",
        ),
    ] = []
    why: bool = Field(default=False, description="whether to say what each forecast is made of")


class ForecastPoint(BaseModel):
    """A forecast for one period; one further field a quantile, such as `q10`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    date: dt.date = Field(description="the period's first day")
    mean: float = Field(ge=0)
    mean_booked: float | None = Field(
        None, ge=0, description="with a plan: the mean under the plan in the books"
    )
    difference: float | None = Field(None, description="with a plan: mean - mean_booked")
    why: dict[str, float] | None = Field(
        None,
        description="with `why`: units by reason (level, trend, season, holiday, promotion, "
        "price, other), which add up to the mean",
    )


class Forecast(Result):
    """A series' forecast, with the keys that name it, such as `product_id`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str] = Field(init=False)

    total_of: int | None = Field(None, description="of a total: how many series it adds up")
    forecast: list[ForecastPoint]


class AnomaliesRequest(Request):
    """What was not as expected of late."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reasons": ["stock_out", "closure"], "limit": 20}]}
    )

    series: Annotated[
        list[dict[str, Id]],
        FailFast(),
        Field(
            max_length=MOST_SERIES,
            description="by one or more keys of the published grain; by default all",
        ),
    ] = []
    from_date: str | None = Field(None, max_length=40, description="the first day wanted, ISO")
    reasons: Annotated[list[str], Field(max_length=20)] = Field(
        [],
        description="of these alone: closure, stock_out, holiday, event, promotion_not_recorded, "
        "promotion_not_seen, unexplained",
    )
    limit: int = Field(100, ge=1, le=10_000)


class Anomaly(Result):
    """One period that sold not as expected, with the keys of its series (null: all)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | None] = Field(init=False)

    date: dt.date = Field(description="the period's first day")
    units: float = Field(description="what was sold")
    mean: float = Field(description="what was expected, by a forecast made before")
    low: float = Field(description="ordinary periods sell from here")
    high: float = Field(description="to here")
    size: float = Field(description="units - mean")
    score: float = Field(description="how far out, where ordinary periods have a spread of 1")
    reason: str = Field(description="the likeliest")
    series: int = Field(description="how many series it stands for; more than one in a closure")
