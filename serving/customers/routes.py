"""Who is leaving, and when customers buy again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput
from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import BESIDES, profiles
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
from serving.http.errors import ERRORS
from serving.http.respond import Responder, check_as_of, reply
from serving.http.schemas import Answer
from serving.predictor import ServedVersion

Who = Sequence[str] | PostedCustomers
Of = Callable[[Mapping[str, Any], Who], list[dict[str, Any]]]
# To score one posted history takes as long as to look up so many customers.
HISTORY = 10


def router(asking: Responder) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    async def about(
        task: str, ask: CustomersRequest, of: Of, besides: Sequence[str] = ()
    ) -> Response:
        """Answer about those who are asked for; `of` gets all models of the one version.

        `besides` are further models whose published answers are among these, if there are any.
        """

        async def asked(served: ServedVersion) -> Response:
            model, _ = served.reader_of(task)
            as_of, ids = model.as_of, ask.customer_ids
            if bool(ids) == bool(ask.histories):
                raise InvalidInput(
                    "customer_ids is required, or histories in its place, and not both.",
                    field="customer_ids",
                )
            if ids:
                check_as_of(ask, as_of)
                others = served.record.other_instants(task, besides)
                return await reply(
                    model.version, as_of, lambda: of(served.readers, ids), len(ids), others
                )
            as_of = as_of if ask.as_of is None else max(as_of, parse_as_of(ask.as_of))
            check_as_of(ask, as_of)
            posted = [one.model_dump(exclude_none=True) for one in ask.histories]
            return await reply(
                model.version,
                as_of,
                lambda: of(served.readers, PostedCustomers.read(posted, as_of)),
                HISTORY * len(posted),
            )

        return await asking.with_current(asked)

    @router.post("/v1/churn", response_model=Answer[Churn], responses=ERRORS)
    async def churn(ask: Annotated[ChurnRequest, Body()]) -> Response:
        """Say how likely each customer is not to buy within the horizon, and why."""
        return await about(
            "churn",
            ask,
            lambda models, who: models["churn"].answer(
                who, ask.horizon_days, models.get("next-purchase")
            ),
            () if ask.horizon_days is None else ("next-purchase",),
        )

    @router.post("/v1/next_purchase", response_model=Answer[NextPurchase], responses=ERRORS)
    async def next_purchase(ask: Annotated[NextPurchaseRequest, Body()]) -> Response:
        """Say when each customer buys again, as a distribution over days, and why."""
        category = ask.category
        if category is not None:
            return await about(
                "next-category",
                ask,
                lambda models, who: models["next-category"].answer(
                    who, category, ask.within_days, ask.quantiles
                ),
            )
        return await about(
            "next-purchase",
            ask,
            lambda models, who: models["next-purchase"].answer(who, ask.within_days, ask.quantiles),
        )

    @router.post("/v1/value", response_model=Answer[Value], responses=ERRORS)
    async def value(ask: Annotated[ValueRequest, Body()]) -> Response:
        """Say what each customer will order and spend over any days ahead, and why."""
        days = ask.horizons_days or None
        return await about("value", ask, lambda models, who: models["value"].answer(who, days))

    @router.post("/v1/customer", response_model=Answer[Customer], responses=ERRORS)
    async def customer(ask: Annotated[CustomerRequest, Body()]) -> Response:
        """Show all that is known and predicted of each customer, with reasons."""
        return await about("churn", ask, profiles, BESIDES)

    return router
