"""What will sell."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.routes.asking import Asking
from serving.routes.errors import ERRORS
from serving.schemas.base import Answer
from serving.schemas.demand import Forecast, ForecastRequest


def router(asking: Asking) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    @router.post("/v1/forecast", response_model=Answer[Forecast], responses=ERRORS)
    async def forecast(ask: Annotated[ForecastRequest, Body()]) -> Response:
        """Say how much of each series will sell, period by period, with quantiles."""
        return await asking.answer(
            "demand",
            ask,
            lambda answers: answers.answer(ask.series, ask.horizon, ask.quantiles),
            len(ask.series),
        )

    return router
