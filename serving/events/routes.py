"""HTTP routes that take events and the availability of products; they need the scope `write`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Body
from pydantic import BaseModel
from starlette.responses import Response

from features.errors import InvalidInput
from features.events.records import Availability
from features.events.schema import Event
from serving.events.schemas import (
    AnyEvents,
    EventsAnswer,
    Invalid,
    PostedEvent,
    ProductsAnswer,
    ProductsRequest,
    RejectedEvent,
)
from serving.http.errors import ERRORS
from serving.http.respond import Responder
from serving.http.route import ModelRoute

# The retailer and this machine may be in different time zones; imports tolerate as much.
TOLERANCE = timedelta(days=1)


def router(responder: Responder) -> APIRouter:
    """Build the routes, which write to the logs of `responder`."""
    router = APIRouter(route_class=ModelRoute, tags=["events"], responses=ERRORS)

    @router.post("/v1/events", status_code=202, response_model=EventsAnswer)
    async def events(request: Annotated[AnyEvents, Body()]) -> Response:
        """Store what customers and sessions did; answers include it within a second."""
        dataset = await responder.dataset(request.dataset)
        latest = datetime.now() + TOLERANCE
        if isinstance(request, PostedEvent):
            _check_time(request, latest)
            posted: Sequence[Event] = [request]
            rejected: list[RejectedEvent] = []
        else:
            posted, rejected = _split(request.events, latest)
        is_new = await responder.events.writer(dataset).append(posted)
        answer = EventsAnswer(
            accepted=sum(is_new), duplicates=len(is_new) - sum(is_new), rejected=rejected
        )
        return _accepted(answer)

    @router.post("/v1/products", status_code=202, response_model=ProductsAnswer)
    async def products(request: Annotated[ProductsRequest, Body()]) -> Response:
        """Switch the availability of products, at once or from and until an instant."""
        dataset = await responder.dataset(request.dataset)
        states = [
            Availability(state.product_id, state.available, state.start, state.end)
            for state in request.products
        ]
        log = responder.events.view(dataset).log
        await to_thread.run_sync(log.set_availability, states)
        return _accepted(ProductsAnswer(accepted=len(states)))

    return router


def _split(
    entries: Sequence[Event | Invalid], latest: datetime
) -> tuple[list[Event], list[RejectedEvent]]:
    """Separate the events to store from those that are rejected."""
    accepted: list[Event] = []
    rejected: list[RejectedEvent] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Invalid):
            rejected.append(RejectedEvent(index=index, **entry.model_dump()))
            continue
        try:
            _check_time(entry, latest)
        except InvalidInput as error:
            rejected.append(RejectedEvent(index=index, reason=error.message, field=error.field))
        else:
            accepted.append(entry)
    return accepted, rejected


def _check_time(event: Event, latest: datetime) -> None:
    if event.ts > latest:
        raise InvalidInput(
            f"ts = {event.ts.isoformat()!r} is in the future: give the retailer's local time.",
            field="ts",
        )


def _accepted(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), 202, media_type="application/json")
