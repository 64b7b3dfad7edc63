"""Routes about demand: forecasts and anomalies."""

from typing import Annotated

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from serving.demand.schemas import (
    AnomaliesRequest,
    AnomalyAnswer,
    ForecastAnswer,
    ForecastQuery,
    ForecastRequest,
)
from serving.http.errors import ERRORS, NOT_MODIFIED
from serving.http.respond import INLINE, Responder
from serving.http.rounding import DECIMALS
from serving.http.route import ModelRoute


def router(responder: Responder) -> APIRouter:
    """Build the routes."""
    router = APIRouter(route_class=ModelRoute, tags=["demand"], responses=ERRORS)

    @router.post("/v1/forecast", response_model=ForecastAnswer)
    async def forecast(request: Annotated[ForecastRequest, Body()]) -> Response:
        """Forecast the units of each series, by default under the recorded plan; explain it."""
        plan = request.plan
        rows = None if plan is None else [row.model_dump(exclude_none=True) for row in plan]
        # To compute a forecast takes a thousand times as long as to look one up.
        computed = rows is not None or request.explain
        return await responder.answer(
            "demand",
            request,
            lambda reader: reader.answer(
                [keys.model_dump(exclude_none=True) for keys in request.series],
                request.horizon,
                request.quantiles,
                rows,
                request.explain,
                DECIMALS,
                request.plan_known_until,
            ),
            INLINE + 1 if computed else len(request.series),
            rounded=True,
        )

    @router.get("/v1/forecast", response_model=ForecastAnswer, responses=NOT_MODIFIED)
    async def get_forecast(query: Annotated[ForecastQuery, Query()]) -> Response:
        """Forecast the units of one series or total under the recorded plan."""
        return await forecast(query.request())

    @router.post("/v1/anomalies", response_model=AnomalyAnswer)
    async def anomalies(request: Annotated[AnomaliesRequest, Body()]) -> Response:
        """Return recent periods with unexpected sales, the largest first, with likely reasons."""
        filters = {
            "series": [keys.model_dump(exclude_none=True) for keys in request.series],
            "from_date": request.from_date,
            "reasons": request.reasons,
            "limit": request.limit,
        }
        return await responder.answer(
            "demand", request, lambda reader: reader.anomalies(**filters), INLINE + 1
        )

    return router
