"""What will sell."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.demand.schemas import AnomaliesRequest, Anomaly, Forecast, ForecastRequest
from serving.http.errors import ERRORS
from serving.http.respond import INLINE, Responder
from serving.http.rounding import DECIMALS
from serving.http.schemas import Answer


def router(asking: Responder) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    @router.post("/v1/forecast", response_model=Answer[Forecast], responses=ERRORS)
    async def forecast(ask: Annotated[ForecastRequest, Body()]) -> Response:
        """Say how much of each series will sell, also under another plan, and why."""
        plan = [row.model_dump(exclude_none=True) for row in ask.plan]
        # What is made again costs a thousand times what is looked up.
        again = bool(plan) or ask.why
        return await asking.answer(
            "demand",
            ask,
            lambda answers: answers.answer(
                ask.series, ask.horizon, ask.quantiles, plan, ask.why, DECIMALS
            ),
            INLINE + 1 if again else len(ask.series),
            rounded=True,
        )

    @router.post("/v1/anomalies", response_model=Answer[Anomaly], responses=ERRORS)
    async def anomalies(ask: Annotated[AnomaliesRequest, Body()]) -> Response:
        """Name recent periods that sold not as expected, the largest first, and why."""
        asked = {
            "series": ask.series,
            "from_date": ask.from_date,
            "reasons": ask.reasons,
            "limit": ask.limit,
        }
        return await asking.answer(
            "demand", ask, lambda answers: answers.anomalies(**asked), INLINE + 1
        )

    return router
