"""For whom a condition holds."""

from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.audience.reader import BESIDES, audience
from serving.audience.schemas import AudienceAnswer, AudienceRequest
from serving.http.errors import ERRORS
from serving.http.respond import Responder, check_as_of
from serving.http.rounding import round_answer
from serving.predictor import ServedVersion


def router(asking: Responder) -> APIRouter:
    """Build the route that asks through `asking`."""
    router = APIRouter()

    @router.post("/v1/audience", response_model=AudienceAnswer, responses=ERRORS)
    async def find(ask: Annotated[AudienceRequest, Body()]) -> Response:
        """List the customers for whom a condition holds, with what stands to be lost."""

        async def asked(served: ServedVersion) -> Response:
            model, _ = served.reader_of("churn")
            check_as_of(ask, model.as_of)
            others = served.record.other_instants("churn", BESIDES)

            def answer() -> bytes:
                found = audience(served.readers, ask.where, ask.value)
                listed = found.customers.slice(ask.offset, ask.limit)
                body: dict[str, Any] = {
                    "model_version": served.record.version,
                    "as_of": model.as_of,
                    **({"models_as_of": others} if others else {}),
                    "size": found.customers.height,
                    "expected_loss": round_answer(found.expected_loss),
                    "value": round_answer(found.worth),
                    "unsure": found.unsure,
                    "results": round_answer(listed.to_dicts()),
                }
                return orjson.dumps(body)

            # Every customer is looked at, so this never holds up the short questions.
            content = await to_thread.run_sync(answer)
            return Response(content, media_type="application/json")

        return await asking.with_current(asked)

    return router
