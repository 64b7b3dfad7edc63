"""HTTP routes of customers: churn, next purchase, value and the profile.

Requests name customers by id or bring their orders; answers come from one published version.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput
from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import FURTHER_MODELS, profiles
from serving.customers.reader import Customers, Row
from serving.customers.schemas import (
    Churn,
    ChurnRequest,
    Customer,
    CustomerRequest,
    CustomersRequest,
    NextPurchase,
    NextPurchaseRequest,
    Value,
    ValueRequest,
)
from serving.customers.timing import known_ids, source_of, timing_of
from serving.customers.unknown import check_known
from serving.http.errors import ERRORS
from serving.http.respond import Responder, check_as_of, reply
from serving.http.schemas import Answer
from serving.predictor import ServedVersion

# Answers for customers from the readers of one version, by folder.
CustomerAnswers = Callable[[Mapping[str, Any], Customers], list[Row]]
# Scoring one posted history takes as long as looking up so many customers.
COST_OF_HISTORY = 10


async def respond(
    responder: Responder,
    task: str,
    request: CustomersRequest,
    answers: CustomerAnswers,
    further_models: Sequence[str] = (),
) -> Response:
    """Answer a request for customers by id or by posted orders.

    Parameters
    ----------
    responder, task
        Holder of the published version, and the task whose model answers.
    request
        The customers; exactly one of `customer_ids` and `histories` is set.
    answers
        Answers from the readers of the version.
    further_models
        Further tasks whose answers take part; instants that differ from the curves' are stated.

    Raises
    ------
    InvalidInput
        If the request sets both `customer_ids` and `histories` or neither, or asks for another
        instant than the published one.
    NotFound
        If a customer is not known and the request sets `unknown` to `error`.
    """

    async def answer(served: ServedVersion) -> Response:
        model, _ = served.reader_of(task)
        source = source_of(served.readers, task)
        as_of, ids = served.record.models[source].as_of, request.customer_ids
        standing = served.record.standing({task, source, *further_models})
        _check_one_of(request)
        if ids:
            check_as_of(request, as_of)
            if request.unknown == "error":
                check_known(ids, known_ids(served.readers, task), as_of)
            others = served.record.other_instants(source, [task, *further_models])
            return await reply(
                model.version,
                as_of,
                standing,
                lambda: answers(served.readers, ids),
                len(ids),
                others,
            )
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


def _check_one_of(request: CustomersRequest) -> None:
    if bool(request.customer_ids) == bool(request.histories):
        raise InvalidInput(
            "customer_ids is required, or histories in its place, and not both.",
            field="customer_ids",
        )


def router(responder: Responder) -> APIRouter:
    """Build the routes that answer through `responder`."""
    router = APIRouter()

    @router.post("/v1/churn", response_model=Answer[Churn], responses=ERRORS)
    async def churn(request: Annotated[ChurnRequest, Body()]) -> Response:
        """Predict the probability of no purchase within the horizon, with explanations."""
        horizon = request.horizon_days
        return await respond(
            responder,
            "churn",
            request,
            lambda models, customers: models["churn"].answer(customers, horizon, timing_of(models)),
        )

    @router.post("/v1/next_purchase", response_model=Answer[NextPurchase], responses=ERRORS)
    async def next_purchase(request: Annotated[NextPurchaseRequest, Body()]) -> Response:
        """Predict the days to the next purchase as a distribution, with explanations."""
        options = (request.within_days, request.quantiles)
        category = request.category
        if category is not None:
            return await respond(
                responder,
                "next-category",
                request,
                lambda models, customers: models["next-category"].answer(
                    customers, category, *options
                ),
            )
        return await respond(
            responder,
            "next-purchase",
            request,
            lambda models, customers: models["next-purchase"].answer(
                customers, *options, timing_of(models)
            ),
        )

    @router.post("/v1/value", response_model=Answer[Value], responses=ERRORS)
    async def value(request: Annotated[ValueRequest, Body()]) -> Response:
        """Predict orders and spend over any days ahead, with explanations."""
        days = request.horizons_days or None
        return await respond(
            responder,
            "value",
            request,
            lambda models, customers: models["value"].answer(customers, days, timing_of(models)),
        )

    @router.post("/v1/customer", response_model=Answer[Customer], responses=ERRORS)
    async def customer(request: Annotated[CustomerRequest, Body()]) -> Response:
        """Show the profile and the predictions of each customer, with explanations."""
        return await respond(responder, "churn", request, profiles, FURTHER_MODELS)

    return router
