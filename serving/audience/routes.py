"""HTTP route of audiences: a condition in, the customers that satisfy it out."""

from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.audience.reader import FURTHER_MODELS, find_audience
from serving.audience.schemas import AudienceAnswer, AudienceRequest
from serving.http.errors import ERRORS
from serving.http.respond import Responder, check_as_of
from serving.http.rounding import round_answer
from serving.predictor import ServedVersion


def router(responder: Responder) -> APIRouter:
    """Build the route that answers through `responder`."""
    router = APIRouter()

    @router.post("/v1/audience", response_model=AudienceAnswer, responses=ERRORS)
    async def audience(request: Annotated[AudienceRequest, Body()]) -> Response:
        """List the customers that satisfy a condition, with the expected loss."""

        async def answer(served: ServedVersion) -> Response:
            model, _ = served.reader_of("churn")
            check_as_of(request, model.as_of)
            others = served.record.other_instants("churn", FURTHER_MODELS)

            def body() -> bytes:
                members = find_audience(served.readers, request.where, request.value)
                listed = members.customers.slice(request.offset, request.limit)
                content: dict[str, Any] = {
                    "model_version": served.record.version,
                    "as_of": model.as_of,
                    **served.record.standing(["churn", *FURTHER_MODELS]),
                    **({"models_as_of": others} if others else {}),
                    "size": members.customers.height,
                    "expected_loss": round_answer(members.expected_loss),
                    "value": members.value_field,
                    "unsure": members.unsure,
                    "ordered_by": "expected_loss" if members.value_field else "churn_probability",
                    "results": round_answer(listed.to_dicts()),
                }
                return orjson.dumps(content)

            # The condition is evaluated for every customer: a thread keeps short requests going.
            return Response(await to_thread.run_sync(body), media_type="application/json")

        return await responder.with_current(request.dataset, answer)

    return router
