"""HTTP route of audiences: a condition in, the customers that satisfy it out."""

from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import APIRouter, Body
from starlette.responses import Response

from serving.audience.reader import FURTHER_MODELS, find_audience
from serving.audience.schemas import AudienceAnswer, AudienceRequest, Member
from serving.http.errors import ERRORS
from serving.http.respond import Responder, check_as_of
from serving.http.rounding import round_answer
from serving.http.route import ModelRoute
from serving.served import ServedVersion


def router(responder: Responder) -> APIRouter:
    """Build the route that answers through `responder`."""
    router = APIRouter(route_class=ModelRoute, tags=["customers"], responses=ERRORS)

    @router.post("/v1/audience", response_model=AudienceAnswer)
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
                    "results": [
                        round_answer(member_of(row, members.value_field))
                        for row in listed.iter_rows(named=True)
                    ],
                }
                return orjson.dumps(content)

            # The condition is evaluated for every customer: a thread keeps short requests going.
            return Response(await to_thread.run_sync(body), media_type="application/json")

        return await responder.with_current(request.dataset, answer)

    return router


def member_of(row: dict[str, Any], value_field: str | None) -> dict[str, Any]:
    """Return a customer of an audience; what `Member` does not declare stands in `fields`."""
    named = {name: row[name] for name in Member.model_fields if name in row}
    further = {name: value for name, value in row.items() if name not in (*named, value_field)}
    value = None if value_field is None else row[value_field]
    return named | {"value": value, "fields": further}
