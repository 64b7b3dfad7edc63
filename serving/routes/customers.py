"""Who is leaving, and when customers buy again."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.routes.asking import Asking
from serving.routes.errors import ERRORS
from serving.schemas.base import Answer
from serving.schemas.customers import Churn, ChurnRequest, NextPurchase, NextPurchaseRequest


def router(asking: Asking) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    @router.post("/v1/churn", response_model=Answer[Churn], responses=ERRORS)
    async def churn(ask: Annotated[ChurnRequest, Body()]) -> Response:
        """Say how likely each customer is not to buy within the horizon, and why."""
        return await asking.answer(
            "churn",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.horizon_days),
            len(ask.customer_ids),
        )

    @router.post("/v1/next_purchase", response_model=Answer[NextPurchase], responses=ERRORS)
    async def next_purchase(ask: Annotated[NextPurchaseRequest, Body()]) -> Response:
        """Say when each customer buys again, as a distribution over days."""
        return await asking.answer(
            "next-purchase",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.within_days, ask.category),
            len(ask.customer_ids),
        )

    return router
