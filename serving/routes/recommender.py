"""What each customer will want."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.routes.asking import Asking
from serving.routes.errors import ERRORS
from serving.schemas.base import Answer
from serving.schemas.recommender import Recommendation, RecommendRequest


def router(asking: Asking) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    @router.post("/v1/recommend", response_model=Answer[Recommendation], responses=ERRORS)
    async def recommend(ask: Annotated[RecommendRequest, Body()]) -> Response:
        """Choose products for each customer, best first, repeat purchases among them."""
        return await asking.answer(
            "recommender",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.k, ask.exclude_product_ids),
            len(ask.customer_ids),
        )

    return router
