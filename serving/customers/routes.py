"""HTTP routes of customers: churn, next purchase, value and the profile.

Requests name customers by id or bring their orders; answers come from one published version.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from features.calendar import parse_as_of
from serving.customers.live import HISTORIES, live_customers, with_live
from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import FURTHER_MODELS, profiles
from serving.customers.reader import Customers, Row
from serving.customers.schemas import (
    AnyChurnRequest,
    AnyCustomerRequest,
    AnyNextPurchaseRequest,
    AnyValueRequest,
    ChurnAnswer,
    ChurnQuery,
    ChurnRequest,
    CustomerAnswer,
    KnownCustomers,
    NextPurchaseAnswer,
    NextPurchaseOfHistories,
    NextPurchaseQuery,
    NextPurchaseRequest,
    PostedCustomersRequest,
    ValueAnswer,
    ValueQuery,
    ValueRequest,
)
from serving.customers.timing import known_ids, source_of, timing_of
from serving.customers.unknown import answer_known
from serving.entries import Result
from serving.events.live import UnseenEvents
from serving.http.errors import ERRORS, NOT_MODIFIED
from serving.http.respond import Responder, check_as_of, reply
from serving.http.route import ModelRoute
from serving.served import ServedVersion

# Answers for customers from the readers of one version, by folder.
CustomerAnswers = Callable[[Mapping[str, Any], Customers], list[Row]]
# Scoring one posted history takes as long as looking up so many customers.
COST_OF_HISTORY = 100


async def respond(
    responder: Responder,
    task: str,
    request: KnownCustomers | PostedCustomersRequest,
    answers: CustomerAnswers,
    further_models: Sequence[str] = (),
) -> Response:
    """Answer a request for customers by id or by posted orders.

    Parameters
    ----------
    responder, task
        Holder of the published version, and the task whose model answers.
    request
        The customers.
    answers
        Answers from the readers of the version.
    further_models
        Further tasks whose answers take part; instants that differ from the curves' are stated.

    Raises
    ------
    InvalidInput
        If the request asks for another instant than the published one.
    NotFound
        If a customer is not known and the request sets `unknown` to `error`.
    """

    async def answer(served: ServedVersion) -> Response:
        model, _ = served.reader_of(task)
        source = source_of(served.readers, task)
        as_of = served.record.models[source].as_of
        standing = served.record.standing({task, source, *further_models})
        if isinstance(request, KnownCustomers):
            check_as_of(request, as_of)
            events = responder.unseen(served, source)
            compute, size = _answer_by_id(served.readers, events, task, request, answers, as_of)
            others = served.record.other_instants(source, [task, *further_models])
            return await reply(model.version, as_of, standing, compute, size, others)
        as_of = as_of if request.as_of is None else max(as_of, parse_as_of(request.as_of))
        check_as_of(request, as_of)
        posted = [history.model_dump(exclude_none=True) for history in request.histories]
        return await reply(
            model.version,
            as_of,
            standing,
            lambda: answers(served.readers, PostedCustomers.read(posted, as_of)),
            COST_OF_HISTORY * len(posted),
        )

    return await responder.with_current(request.dataset, answer)


def _answer_by_id(
    readers: Mapping[str, Any],
    events: UnseenEvents,
    task: str,
    request: KnownCustomers,
    answers: CustomerAnswers,
    as_of: datetime,
) -> tuple[Callable[[], Sequence[Result]], int]:
    """Return what answers for customers by id, with their logged events, and its work."""
    ids = request.customer_ids
    live = live_customers(readers.get(HISTORIES), events, ids, as_of)

    def answer(some: Sequence[str]) -> list[Row]:
        return with_live(answers, readers, some, live)

    def compute() -> Sequence[Result]:
        if request.unknown != "error":
            return answer(ids)
        known = known_ids(readers, task)
        return answer_known(ids, {n for n in ids if n in known or n in live}, as_of, answer)

    return compute, len(ids) + COST_OF_HISTORY * len(live)


async def _next_purchase(
    responder: Responder, request: NextPurchaseRequest | NextPurchaseOfHistories
) -> Response:
    """Answer when customers buy next: at all, or in the category of the request."""
    options, category = (request.within_days, request.quantiles), request.category
    if category is not None:
        return await respond(
            responder,
            "next-category",
            request,
            lambda models, customers: models["next-category"].answer(customers, category, *options),
        )
    return await respond(
        responder,
        "next-purchase",
        request,
        lambda models, customers: models["next-purchase"].answer(
            customers, *options, timing_of(models)
        ),
    )


def router(responder: Responder) -> APIRouter:
    """Build the routes that answer through `responder`."""
    router = APIRouter(route_class=ModelRoute, tags=["customers"], responses=ERRORS)

    @router.post("/v1/churn", response_model=ChurnAnswer)
    async def churn(request: Annotated[AnyChurnRequest, Body()]) -> Response:
        """Predict the probability of no purchase within the horizon, with explanations."""
        horizon = request.horizon_days
        return await respond(
            responder,
            "churn",
            request,
            lambda models, customers: models["churn"].answer(customers, horizon, timing_of(models)),
        )

    @router.get("/v1/churn", response_model=ChurnAnswer, responses=NOT_MODIFIED)
    async def get_churn(query: Annotated[ChurnQuery, Query()]) -> Response:
        """Predict the probability of no purchase of one customer."""
        return await churn(query.of(ChurnRequest))

    @router.post("/v1/next_purchase", response_model=NextPurchaseAnswer)
    async def next_purchase(request: Annotated[AnyNextPurchaseRequest, Body()]) -> Response:
        """Predict the days to the next purchase as a distribution, with explanations."""
        return await _next_purchase(responder, request)

    @router.get("/v1/next_purchase", response_model=NextPurchaseAnswer, responses=NOT_MODIFIED)
    async def get_next_purchase(query: Annotated[NextPurchaseQuery, Query()]) -> Response:
        """Predict the days to the next purchase of one customer."""
        return await next_purchase(query.of(NextPurchaseRequest))

    @router.post("/v1/value", response_model=ValueAnswer)
    async def value(request: Annotated[AnyValueRequest, Body()]) -> Response:
        """Predict orders and spend over any days ahead, with explanations."""
        days = request.horizons_days or None
        return await respond(
            responder,
            "value",
            request,
            lambda models, customers: models["value"].answer(customers, days, timing_of(models)),
        )

    @router.get("/v1/value", response_model=ValueAnswer, responses=NOT_MODIFIED)
    async def get_value(query: Annotated[ValueQuery, Query()]) -> Response:
        """Predict orders and spend of one customer."""
        return await value(query.of(ValueRequest))

    @router.post("/v1/customer", response_model=CustomerAnswer)
    async def customer(request: Annotated[AnyCustomerRequest, Body()]) -> Response:
        """Show the profile and the predictions of each customer, with explanations."""
        return await respond(responder, "churn", request, profiles, FURTHER_MODELS)

    return router
