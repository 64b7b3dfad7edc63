"""How much of which series will sell."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.schemas.base import Id, Request, Result

MOST_SERIES = 1_000


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
