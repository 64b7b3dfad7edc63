"""What each customer will want, and which products belong to each other."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput
from serving.http.errors import ERRORS
from serving.http.respond import Responder
from serving.http.schemas import Answer
from serving.recommender.query import Filters, ListQuery
from serving.recommender.schemas import (
    BasketRequest,
    Buyers,
    Choosing,
    Companions,
    CustomersForProductRequest,
    ListContext,
    LookAlikes,
    Recommendation,
    RecommendRequest,
    RerankRequest,
    SimilarRequest,
)

TASK = "recommender"
# To read one posted history takes as long as to answer for so many customers.
HISTORY = 10
# To tell of so many products takes as long as to answer for one more customer.
PRODUCTS = 20
# Customers times products that one request may have put in order.
MOST_PAIRS = 100_000


def router(asking: Responder) -> APIRouter:
    """Build the routes that ask through `asking`."""
    router = APIRouter()

    @router.post("/v1/recommend", response_model=Answer[Recommendation], responses=ERRORS)
    async def recommend(ask: Annotated[RecommendRequest, Body()]) -> Response:
        """Choose products for each customer, best first, with reasons; `list` says which."""
        if bool(ask.customer_ids) == bool(ask.histories):
            raise InvalidInput(
                "customer_ids is required, or histories in its place, and not both.",
                field="customer_ids",
            )
        wish = _wish(
            ask.model_copy(update={"exclude_product_ids": []}),
            list_name=ask.list_name,
            diversity=ask.diversity,
            allow_adjacent_category=ask.allow_adjacent_category,
            pinned=_places(ask),
            boosts=ask.boosts,
        )
        if ask.histories:
            posted = [one.model_dump(exclude_none=True) for one in ask.histories]
            return await asking.answer(
                TASK,
                ask,
                lambda answers: answers.posted(posted, ask.k, ask.exclude_product_ids, wish),
                HISTORY * len(posted) + _size(len(posted), ask.k),
            )
        wishes = () if wish == ListQuery() else (wish,)
        return await asking.answer(
            TASK,
            ask,
            lambda answers: answers.answer(
                ask.customer_ids, ask.k, ask.exclude_product_ids, *wishes
            ),
            _size(len(ask.customer_ids), ask.k),
        )

    @router.post("/v1/rerank", response_model=Answer[Recommendation], responses=ERRORS)
    async def rerank(ask: Annotated[RerankRequest, Body()]) -> Response:
        """Put given products in the order in which each customer wants them."""
        customers, products = len(ask.customer_ids), len(ask.product_ids)
        if customers * products > MOST_PAIRS:
            raise InvalidInput(
                f"customer_ids ({customers}) times product_ids ({products}) = "
                f"{customers * products} is too many: at most {MOST_PAIRS} pairs are put in order "
                "at a time. Ask in parts.",
                field="customer_ids",
            )
        wish = _wish(ask, list_name=ask.list_name)
        return await asking.answer(
            TASK,
            ask,
            lambda answers: answers.rerank(ask.customer_ids, ask.product_ids, wish),
            _size(customers, products),
        )

    @router.post("/v1/similar", response_model=Answer[LookAlikes], responses=ERRORS)
    async def similar(ask: Annotated[SimilarRequest, Body()]) -> Response:
        """Say what can stand for each product."""
        return await asking.answer(
            TASK,
            ask,
            lambda answers: answers.similar(ask.product_ids, ask.k, _filters(ask)),
            len(ask.product_ids),
        )

    @router.post(
        "/v1/frequently_bought_together", response_model=Answer[Companions], responses=ERRORS
    )
    async def basket(ask: Annotated[BasketRequest, Body()]) -> Response:
        """Say what is bought together with a product, or completes a basket of several."""
        return await asking.answer(
            TASK,
            ask,
            lambda answers: answers.together(ask.product_ids, ask.k, _filters(ask)),
            1,
        )

    @router.post("/v1/customers_for_product", response_model=Answer[Buyers], responses=ERRORS)
    async def customers_for_product(
        ask: Annotated[CustomersForProductRequest, Body()],
    ) -> Response:
        """Say which customers are likeliest to buy each product within the horizon."""
        return await asking.answer(
            TASK,
            ask,
            lambda answers: answers.customers_for(ask.product_ids, ask.k),
            len(ask.product_ids),
        )

    return router


def _size(customers: int, products: int) -> int:
    """How many customers with a short list take as long to answer."""
    return customers * max(1, products // PRODUCTS)


def _filters(ask: Choosing) -> Filters:
    return Filters(
        exclude_product_ids=tuple(ask.exclude_product_ids),
        only={str(level): names for level, names in ask.only.items()},
        exclude={str(level): names for level, names in ask.exclude.items()},
        max_price=ask.max_price,
        location_id=ask.location_id,
    )


def _wish(ask: ListContext, **further: object) -> ListQuery:
    return ListQuery(
        filters=_filters(ask),
        basket_product_ids=tuple(ask.basket_product_ids),
        recent_purchases={
            product: parse_as_of(when, field=f"recent_purchases.{product[:60]}")
            for product, when in ask.recent_purchases.items()
        },
        at=None if ask.at is None else parse_as_of(ask.at, field="at"),
        **further,  # type: ignore[arg-type]
    )


def _places(ask: RecommendRequest) -> dict[int, str]:
    places: dict[int, str] = {}
    for position, pin in enumerate(ask.pinned):
        if pin.rank in places or pin.product_id in places.values():
            raise InvalidInput(
                f"pinned[{position}] = {pin.product_id!r} at rank {pin.rank} is pinned twice; "
                "give each place and each product once.",
                field=f"pinned[{position}]",
            )
        places[pin.rank] = pin.product_id
    return places
