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
from serving.predictor import Served


def router(asking: Responder) -> APIRouter:
    """Build the route that asks through `asking`."""
    router = APIRouter()

    @router.post("/v1/audience", response_model=AudienceAnswer, responses=ERRORS)
    async def find(ask: Annotated[AudienceRequest, Body()]) -> Response:
        """List the customers for whom a condition holds, with what stands to be lost."""

        async def asked(served: Served) -> Response:
            model, _ = served.ask("churn")
            check_as_of(ask, model.as_of)
            others = served.record.other_instants("churn", BESIDES)

            def answer() -> bytes:
                found = audience(served.answers, ask.where, ask.value)
                listed = found.customers.slice(ask.offset, ask.limit)
                body: dict[str, Any] = {
                    "model_version": served.record.version,
                    "as_of": model.as_of,
                    **({"models_as_of": others} if others else {}),
                    "size": found.customers.height,
                    "expected_loss": found.expected_loss,
                    "value": found.worth,
                    "unsure": found.unsure,
                    "results": listed.to_dicts(),
                }
                return orjson.dumps(body)

            # Every customer is looked at, so this never holds up the short questions.
            content = await to_thread.run_sync(answer)
            return Response(content, media_type="application/json")

        return await asking.held(asked)

    return router
