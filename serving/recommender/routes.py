"""Routes for recommendations: lists of customers, and lists about products."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput
from serving.customers.unknown import answer_known
from serving.entries import Result
from serving.events.live import UnseenEvents
from serving.http.errors import ERRORS, NOT_MODIFIED
from serving.http.respond import Finish, Responder
from serving.http.route import ModelRoute
from serving.recommender.live import excluding
from serving.recommender.query import Filters, ListQuery
from serving.recommender.schemas import (
    AnyRecommendRequest,
    BasketRequest,
    BuyersAnswer,
    CustomersForProductRequest,
    FilteredRequest,
    ListContext,
    ListOptions,
    PartnersAnswer,
    RecommendationAnswer,
    RecommendOfHistories,
    RecommendQuery,
    RecommendRequest,
    RerankRequest,
    SimilarProductsAnswer,
    SimilarQuery,
    SimilarRequest,
)

TASK = "recommender"
# Work of a short list, in looked-up entities, and of a posted history in short lists.
LIST_WORK = 12
LISTS_PER_HISTORY = 10
# Explained products that cost as much as one more customer.
PRODUCTS_PER_CUSTOMER = 20
# Largest number of customers times products of a request to /v1/rerank.
MAX_PAIRS = 100_000


def router(responder: Responder) -> APIRouter:
    """Build the routes."""
    router = APIRouter(route_class=ModelRoute, tags=["recommendations"], responses=ERRORS)
    _add_customer_routes(router, responder)
    _add_product_routes(router, responder)
    return router


def _add_customer_routes(router: APIRouter, responder: Responder) -> None:
    @router.post("/v1/recommend", response_model=RecommendationAnswer)
    async def recommend(request: Annotated[AnyRecommendRequest, Body()]) -> Response:
        """Recommend products to each customer, with explanations; `list` selects the list."""
        query, excluded = _recommend_query(request), request.exclude_product_ids
        if isinstance(request, RecommendOfHistories):
            posted = [history.model_dump(exclude_none=True) for history in request.histories]
            return await responder.answer_live(
                TASK,
                request,
                lambda answers, events: answers.posted(posted, request.k, excluded, query, events),
                LISTS_PER_HISTORY * LIST_WORK * len(posted) + _size(len(posted), request.k),
                finish=_identify(responder, request.list_name),
            )
        return await responder.answer_live(
            TASK,
            request,
            lambda answers, events: _lists(answers, request, query, events),
            _size(len(request.customer_ids), request.k),
            finish=_identify(responder, request.list_name),
        )

    @router.get("/v1/recommend", response_model=RecommendationAnswer, responses=NOT_MODIFIED)
    async def get_recommend(query: Annotated[RecommendQuery, Query()]) -> Response:
        """Recommend products to one customer."""
        return await recommend(query.request())

    @router.post("/v1/rerank", response_model=RecommendationAnswer)
    async def rerank(request: Annotated[RerankRequest, Body()]) -> Response:
        """Order given products for each customer."""
        customers, products = len(request.customer_ids), len(request.product_ids)
        if customers * products > MAX_PAIRS:
            raise InvalidInput(
                f"customer_ids ({customers}) times product_ids ({products}) = "
                f"{customers * products} is too many: at most {MAX_PAIRS} pairs are put in order "
                "at a time. Ask in parts.",
                field="customer_ids",
            )
        query = _query(request, list_name=request.list_name)
        return await responder.answer_live(
            TASK,
            request,
            lambda answers, events: answers.rerank(
                request.customer_ids, request.product_ids, query, events
            ),
            _size(customers, products),
            finish=_identify(responder, request.list_name),
        )


def _add_product_routes(router: APIRouter, responder: Responder) -> None:
    @router.post("/v1/similar", response_model=SimilarProductsAnswer)
    async def similar(request: Annotated[SimilarRequest, Body()]) -> Response:
        """List substitutes of each product."""
        return await responder.answer_live(
            TASK,
            request,
            lambda answers, events: answers.similar(
                request.product_ids, request.k, excluding(_filters(request), events, None)
            ),
            len(request.product_ids),
        )

    @router.get("/v1/similar", response_model=SimilarProductsAnswer, responses=NOT_MODIFIED)
    async def get_similar(query: Annotated[SimilarQuery, Query()]) -> Response:
        """List substitutes of one product."""
        return await similar(query.request())

    @router.post("/v1/frequently_bought_together", response_model=PartnersAnswer)
    async def frequently_bought_together(request: Annotated[BasketRequest, Body()]) -> Response:
        """List products that are bought together with a product or a basket."""
        return await responder.answer_live(
            TASK,
            request,
            lambda answers, events: answers.bought_together(
                request.product_ids, request.k, excluding(_filters(request), events, None)
            ),
            1,
        )

    @router.post("/v1/customers_for_product", response_model=BuyersAnswer)
    async def customers_for_product(
        request: Annotated[CustomersForProductRequest, Body()],
    ) -> Response:
        """List the customers likeliest to buy each product within the horizon."""
        return await responder.answer(
            TASK,
            request,
            lambda answers: answers.customers_for(request.product_ids, request.k),
            len(request.product_ids),
        )


def _lists(
    answers: Any, request: RecommendRequest, query: ListQuery, events: UnseenEvents
) -> Sequence[Result]:
    """Return a list for each customer by id; an error for unknown ones if the request says so."""
    options = None if query == ListQuery() else query

    def lists(ids: Sequence[str]) -> list[dict[str, Any]]:
        excluded, session = request.exclude_product_ids, request.session_id
        return list(answers.answer(ids, request.k, excluded, options, events, session))

    ids = request.customer_ids
    if request.unknown != "error":
        return lists(ids)
    known = {name for name in ids if name in answers.known_ids or events.has_orders(name)}
    return answer_known(ids, known, answers.as_of, lists)


def _identify(responder: Responder, list_name: str) -> Finish:
    """Return what adds ids to lists, which impressions and clicks refer to."""
    return lambda model, lists: responder.events.ids.add(model.number, list_name, lists)


def _size(customers: int, products: int) -> int:
    """Return the work of lists, in looked-up entities."""
    return LIST_WORK * customers * max(1, products // PRODUCTS_PER_CUSTOMER)


def _filters(request: FilteredRequest) -> Filters:
    return Filters(
        exclude_product_ids=tuple(request.exclude_product_ids),
        only=request.only.model_dump(exclude_none=True),
        exclude=request.exclude.model_dump(exclude_none=True),
        max_price=request.max_price,
        location_id=request.location_id,
    )


def _recommend_query(request: ListOptions) -> ListQuery:
    """Return the query without excluded products, which are passed separately."""
    return _query(
        request.model_copy(update={"exclude_product_ids": []}),
        list_name=request.list_name,
        diversity=request.diversity,
        allow_adjacent_category=request.allow_adjacent_category,
        pinned=_pinned(request),
        boosts=request.boosts,
    )


def _query(request: ListContext, **options: object) -> ListQuery:
    return ListQuery(
        filters=_filters(request),
        basket_product_ids=tuple(request.basket_product_ids),
        recent_purchases={
            product: parse_as_of(when, field=f"recent_purchases.{product[:60]}")
            for product, when in request.recent_purchases.items()
        },
        at=None if request.at is None else parse_as_of(request.at, field="at"),
        **options,  # type: ignore[arg-type]
    )


def _pinned(request: ListOptions) -> dict[int, str]:
    """Return pinned products by rank."""
    pinned: dict[int, str] = {}
    for position, pin in enumerate(request.pinned):
        if pin.rank in pinned or pin.product_id in pinned.values():
            raise InvalidInput(
                f"pinned[{position}] = {pin.product_id!r} at rank {pin.rank} is pinned twice; "
                "give each rank and each product once.",
                field=f"pinned[{position}]",
            )
        pinned[pin.rank] = pin.product_id
    return pinned
