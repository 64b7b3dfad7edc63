"""A typed client of the HTTP service: its own requests in, its own answers out.

    from foresell.client import ChurnRequest, Client

    with Client("http://127.0.0.1:3000") as foresell:
        answer = foresell.churn(ChurnRequest(customer_ids=["1111"], horizon_days=28))
        answer.results[0].churn_probability

`AsyncClient` has the same methods, to be awaited. A query, such as `ChurnQuery`, is sent by `GET`.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from features.errors import ForesellError
from serving.audience.schemas import AudienceAnswer, AudienceRequest
from serving.customers.schemas import (
    ChurnAnswer,
    ChurnOfHistories,
    ChurnQuery,
    ChurnRequest,
    CustomerAnswer,
    CustomerOfHistories,
    CustomerRequest,
    NextPurchaseAnswer,
    NextPurchaseOfHistories,
    NextPurchaseQuery,
    NextPurchaseRequest,
    ValueAnswer,
    ValueOfHistories,
    ValueQuery,
    ValueRequest,
)
from serving.demand.schemas import (
    AnomaliesRequest,
    AnomalyAnswer,
    ForecastAnswer,
    ForecastQuery,
    ForecastRequest,
)
from serving.events.schemas import (
    EventBatch,
    EventsAnswer,
    PostedEvent,
    ProductsAnswer,
    ProductsRequest,
)
from serving.http.schemas import Error, ReadQuery
from serving.recommender.schemas import (
    BasketRequest,
    BuyersAnswer,
    CustomersForProductRequest,
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
from serving.status.schemas import Status, StatusQuery

URL = "http://127.0.0.1:3000"
# Above the service's own limit, so that its error arrives.
TIMEOUT_SECONDS = 40.0

_DEFAULT = StatusQuery(dataset=None)
AnyAnswer = TypeVar("AnyAnswer", bound=BaseModel)


class ServiceError(ForesellError):
    """The service refused a request.

    Parameters
    ----------
    status
        The HTTP status.
    error
        The service's error; None if something between client and service answered.
    """

    def __init__(self, status: int, error: Error | None) -> None:
        message = f"HTTP status {status}." if error is None else error.message
        super().__init__(message, field=None if error is None else error.field)
        self.status = status
        self.error = error


class Client:
    """Asks a service, and waits for each answer.

    Parameters
    ----------
    url
        Where the service listens.
    headers
        Sent with every request.
    timeout
        Seconds until a request is given up.
    transport
        Sends requests; by default over the network.

    Raises
    ------
    ServiceError
        By every method, if the service refuses the request.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, name: str, request: BaseModel, answer: type[AnyAnswer]) -> AnyAnswer:
        return _read(self._http.request(**_parts(name, request)), answer)

    def recommend(
        self, request: RecommendRequest | RecommendOfHistories | RecommendQuery
    ) -> RecommendationAnswer:
        """List products for each customer."""
        return self._send("recommend", request, RecommendationAnswer)

    def rerank(self, request: RerankRequest) -> RecommendationAnswer:
        """Order given products for each customer."""
        return self._send("rerank", request, RecommendationAnswer)

    def similar(self, request: SimilarRequest | SimilarQuery) -> SimilarProductsAnswer:
        """List substitutes of products."""
        return self._send("similar", request, SimilarProductsAnswer)

    def frequently_bought_together(self, request: BasketRequest) -> PartnersAnswer:
        """List products bought together with a basket."""
        return self._send("frequently_bought_together", request, PartnersAnswer)

    def customers_for_product(self, request: CustomersForProductRequest) -> BuyersAnswer:
        """List likely buyers of products."""
        return self._send("customers_for_product", request, BuyersAnswer)

    def forecast(self, request: ForecastRequest | ForecastQuery) -> ForecastAnswer:
        """Forecast the units of series."""
        return self._send("forecast", request, ForecastAnswer)

    def anomalies(self, request: AnomaliesRequest) -> AnomalyAnswer:
        """List periods with unexpected sales."""
        return self._send("anomalies", request, AnomalyAnswer)

    def churn(self, request: ChurnRequest | ChurnOfHistories | ChurnQuery) -> ChurnAnswer:
        """Predict churn of customers."""
        return self._send("churn", request, ChurnAnswer)

    def next_purchase(
        self, request: NextPurchaseRequest | NextPurchaseOfHistories | NextPurchaseQuery
    ) -> NextPurchaseAnswer:
        """Predict the days until customers buy again."""
        return self._send("next_purchase", request, NextPurchaseAnswer)

    def value(self, request: ValueRequest | ValueOfHistories | ValueQuery) -> ValueAnswer:
        """Predict orders and spend of customers."""
        return self._send("value", request, ValueAnswer)

    def customer(self, request: CustomerRequest | CustomerOfHistories) -> CustomerAnswer:
        """Describe customers, with all predictions."""
        return self._send("customer", request, CustomerAnswer)

    def audience(self, request: AudienceRequest) -> AudienceAnswer:
        """Find the customers that satisfy a condition."""
        return self._send("audience", request, AudienceAnswer)

    def events(self, request: PostedEvent | EventBatch) -> EventsAnswer:
        """Store what customers and sessions did."""
        return self._send("events", request, EventsAnswer)

    def products(self, request: ProductsRequest) -> ProductsAnswer:
        """Switch the availability of products."""
        return self._send("products", request, ProductsAnswer)

    def status(self, query: StatusQuery = _DEFAULT) -> Status:
        """Describe what is served."""
        return self._send("status", query, Status)


class AsyncClient:
    """Asks a service without blocking; parameters and errors are those of `Client`."""

    def __init__(
        self,
        url: str = URL,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, name: str, request: BaseModel, answer: type[AnyAnswer]) -> AnyAnswer:
        return _read(await self._http.request(**_parts(name, request)), answer)

    async def recommend(
        self, request: RecommendRequest | RecommendOfHistories | RecommendQuery
    ) -> RecommendationAnswer:
        """List products for each customer."""
        return await self._send("recommend", request, RecommendationAnswer)

    async def rerank(self, request: RerankRequest) -> RecommendationAnswer:
        """Order given products for each customer."""
        return await self._send("rerank", request, RecommendationAnswer)

    async def similar(self, request: SimilarRequest | SimilarQuery) -> SimilarProductsAnswer:
        """List substitutes of products."""
        return await self._send("similar", request, SimilarProductsAnswer)

    async def frequently_bought_together(self, request: BasketRequest) -> PartnersAnswer:
        """List products bought together with a basket."""
        return await self._send("frequently_bought_together", request, PartnersAnswer)

    async def customers_for_product(self, request: CustomersForProductRequest) -> BuyersAnswer:
        """List likely buyers of products."""
        return await self._send("customers_for_product", request, BuyersAnswer)

    async def forecast(self, request: ForecastRequest | ForecastQuery) -> ForecastAnswer:
        """Forecast the units of series."""
        return await self._send("forecast", request, ForecastAnswer)

    async def anomalies(self, request: AnomaliesRequest) -> AnomalyAnswer:
        """List periods with unexpected sales."""
        return await self._send("anomalies", request, AnomalyAnswer)

    async def churn(self, request: ChurnRequest | ChurnOfHistories | ChurnQuery) -> ChurnAnswer:
        """Predict churn of customers."""
        return await self._send("churn", request, ChurnAnswer)

    async def next_purchase(
        self, request: NextPurchaseRequest | NextPurchaseOfHistories | NextPurchaseQuery
    ) -> NextPurchaseAnswer:
        """Predict the days until customers buy again."""
        return await self._send("next_purchase", request, NextPurchaseAnswer)

    async def value(self, request: ValueRequest | ValueOfHistories | ValueQuery) -> ValueAnswer:
        """Predict orders and spend of customers."""
        return await self._send("value", request, ValueAnswer)

    async def customer(self, request: CustomerRequest | CustomerOfHistories) -> CustomerAnswer:
        """Describe customers, with all predictions."""
        return await self._send("customer", request, CustomerAnswer)

    async def audience(self, request: AudienceRequest) -> AudienceAnswer:
        """Find the customers that satisfy a condition."""
        return await self._send("audience", request, AudienceAnswer)

    async def events(self, request: PostedEvent | EventBatch) -> EventsAnswer:
        """Store what customers and sessions did."""
        return await self._send("events", request, EventsAnswer)

    async def products(self, request: ProductsRequest) -> ProductsAnswer:
        """Switch the availability of products."""
        return await self._send("products", request, ProductsAnswer)

    async def status(self, query: StatusQuery = _DEFAULT) -> Status:
        """Describe what is served."""
        return await self._send("status", query, Status)


def _parts(name: str, request: BaseModel) -> dict[str, Any]:
    """Return method, path and content of a request; fields of default values are left out."""
    path = f"/v1/{name}"
    if isinstance(request, ReadQuery | StatusQuery):
        params = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {"method": "GET", "url": path, "params": params}
    content = request.model_dump_json(by_alias=True, exclude_defaults=True)
    headers = {"content-type": "application/json"}
    return {"method": "POST", "url": path, "content": content, "headers": headers}


def _read(response: httpx.Response, answer: type[AnyAnswer]) -> AnyAnswer:
    if response.is_success:
        return answer.model_validate_json(response.content)
    try:
        error = Error.model_validate_json(response.content)
    except ValidationError:
        error = None
    raise ServiceError(response.status_code, error)
