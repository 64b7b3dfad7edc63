"""Small published folders written by hand, their readers, and clients of the application."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import ASGIApp

from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from serving.app import build_app
from serving.http.schemas import Error
from serving.predictor import VersionHolder
from serving.readers import READERS as SERVED
from training.models.churn.model import ChurnModel
from training.models.next_category.model import NextCategoryModel
from training.models.next_purchase.model import NextPurchaseModel
from training.models.value.model import ValueModel
from training.published import versions as published
from training.registry import TASKS

AS_OF = datetime(2018, 1, 1)


class ListReader:
    """Reads the recommender that `publish_by_hand` wrote: one product per line."""

    def __init__(self, folder: Path) -> None:
        self.products = (folder / "products.txt").read_text().split()

    def answer(
        self, customer_ids: list[str], k: int, exclude: list[str], *_: object
    ) -> list[dict[str, Any]]:
        shown = [product for product in self.products if product not in exclude][:k]
        items = [
            {"rank": rank, "product_id": product, "score": 1.0 / rank, "reason": "popular"}
            for rank, product in enumerate(shown, 1)
        ]
        return [
            {
                "customer_id": customer,
                "basis": "population",
                "ordered_by": ["score"],
                "items": items,
            }
            for customer in customer_ids
        ]


class SeriesReader:
    """Reads the products that have a forecast: one product per line."""

    def __init__(self, folder: Path) -> None:
        self.products = (folder / "products.txt").read_text().split()

    def answer(
        self, series: list[dict[str, str]], horizon: int | None, *_: object
    ) -> list[dict[str, Any] | NotFound]:
        if horizon is not None and horizon > 28:
            raise InvalidInput(f"horizon = {horizon} is beyond 1 to 28 days.", field="horizon")
        return [self._forecast(one, f"series[{i}].product_id") for i, one in enumerate(series)]

    def _forecast(self, one: dict[str, str], field: str) -> dict[str, Any] | NotFound:
        if one["product_id"] not in self.products:
            return NotFound(f"product_id {one['product_id']!r} is not known.", field=field)
        quantiles = [{"level": 0.1, "units": 0.0}, {"level": 0.9, "units": 2.0}]
        point = {"date": "2018-01-01", "mean": 1.0, "quantiles": quantiles}
        known = {"plan_known_until": None, "assumes": []}
        return {**one, "basis": "own_history", **known, "forecast": [point]}


class BrokenReader:
    """Fails on every request, with a customer id in the message."""

    def __init__(self, folder: Path) -> None: ...

    def answer(self, customer_ids: list[str], *_: object) -> list[dict[str, Any]]:
        raise RuntimeError(f"cannot answer for {customer_ids}")


@pytest.fixture(scope="session")
def customers_as_of() -> datetime:
    """The instant of `customer_readers`."""
    return datetime(2017, 11, 6)


@pytest.fixture(scope="session")
def customer_models(journey: Dataset, customers_as_of: datetime) -> dict[str, Any]:
    """Small customer models of the small data set, which share the timing of purchases."""
    models = (
        ChurnModel(),
        NextPurchaseModel(),
        NextCategoryModel(rounds=40),
        ValueModel(rounds=40),
    )
    return {model.name: model.fit(journey, customers_as_of) for model in models}


@pytest.fixture(scope="session")
def customer_readers(
    journey: Dataset,
    customers_as_of: datetime,
    customer_models: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Readers of `customer_models`, by folder."""
    readers = {}
    for model in customer_models.values():
        task, folder = TASKS[model.name], tmp_path_factory.mktemp(model.name)
        task.publish(model, journey, customers_as_of, folder)
        readers[model.name] = SERVED[model.name](folder)
        for name, companion in task.companions.items():
            folder = tmp_path_factory.mktemp(name)
            companion.publish(journey, customers_as_of, folder)
            readers[name] = SERVED[name](folder)
    return readers


READERS = {"recommender": ListReader, "demand": SeriesReader, "churn": BrokenReader}


@pytest.fixture
def publish_by_hand() -> Callable[..., Path]:
    """Publish a version with the given products, and make it current."""

    def publish(
        home: Path,
        name: str,
        products: str = "milk bread",
        *,
        tasks: str = "recommender",
        dataset: str = "d",
    ) -> Path:
        draft = published.root(home) / f".{name}"
        for task in tasks.split():
            (draft / task).mkdir(parents=True)
            (draft / task / "products.txt").write_text(products)
        models = {
            task: published.PublishedModel(
                version=f"{task}/1", run_id="r", snapshot="s", as_of=AS_OF
            )
            for task in tasks.split()
        }
        created = datetime.now().astimezone()
        record = published.PublishedVersion(
            version=name, dataset=dataset, created=created, models=models
        )
        folder = published.finish(home, draft, record)
        published.switch(home, name, dataset)
        return folder

    return publish


@pytest.fixture
def readers() -> dict[str, Callable[[Path], Any]]:
    """Loaders of the folders that `publish_by_hand` writes."""
    return dict(READERS)


class Client:
    """Sends requests to an application in this process, each on an event loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def request(
        self, method: str, path: str, content: bytes | Iterable[bytes] | None = None, **options: Any
    ) -> httpx.Response:
        parts = content if content is None or isinstance(content, bytes) else _stream(content)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                return await http.request(method, path, content=parts, **options)

        return anyio.run(send)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


async def _stream(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
def client_of() -> Callable[[ASGIApp], Client]:
    """Build a client of an application."""
    return Client


@pytest.fixture
def client(
    tmp_path: Path, publish_by_hand: Callable[..., Path], readers: dict[str, Callable[[Path], Any]]
) -> Client:
    """A client of an application that serves what `publish_by_hand` wrote."""
    publish_by_hand(tmp_path, "v1", tasks="recommender demand churn")
    versions = VersionHolder([tmp_path], readers, poll_seconds=60)
    versions.refresh()
    return Client(build_app(versions, max_body_bytes=100_000))


@pytest.fixture
def error_of() -> Callable[..., Error]:
    """Check the status, code and field of an error response, and return its body."""

    def check(response: httpx.Response, status: int, code: str, field: str | None = None) -> Error:
        assert response.status_code == status, response.text
        error = Error.model_validate_json(response.content)
        assert (error.code, error.field) == (code, field)
        assert error.request_id == response.headers["x-request-id"]
        return error

    return check
