"""Published folders small enough to write by hand, and readers that read them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from serving.readers import READERS as SERVED
from training.models.churn.model import ChurnModel
from training.models.next_category.model import NextCategoryModel
from training.models.next_purchase.model import NextPurchaseModel
from training.models.value.model import ValueModel
from training.published import versions as published
from training.registry import TASKS

AS_OF = datetime(2018, 1, 1)


class Lists:
    """Reads what `publish_by_hand` wrote for the recommender: one product a line."""

    def __init__(self, folder: Path) -> None:
        self.products = (folder / "products.txt").read_text().split()

    def answer(self, customer_ids: list[str], k: int, exclude: list[str]) -> list[dict[str, Any]]:
        shown = [product for product in self.products if product not in exclude][:k]
        items = [
            {"rank": rank, "product_id": product, "score": 1.0 / rank, "reason": "popular"}
            for rank, product in enumerate(shown, 1)
        ]
        return [
            {"customer_id": customer, "basis": "population", "items": items}
            for customer in customer_ids
        ]


class Series:
    """Reads the products that have a forecast, from a file of one product a line."""

    def __init__(self, folder: Path) -> None:
        self.products = (folder / "products.txt").read_text().split()

    def answer(
        self, series: list[dict[str, str]], horizon: int | None, *_: object
    ) -> list[dict[str, Any]]:
        if horizon is not None and horizon > 28:
            raise InvalidInput(f"horizon = {horizon} is beyond 1 to 28 days.", field="horizon")
        for position, one in enumerate(series):
            if one["product_id"] not in self.products:
                raise NotFound(
                    f"product_id {one['product_id']!r} is not known.",
                    field=f"series[{position}].product_id",
                )
        point = {"date": "2018-01-01", "mean": 1.0, "q10": 0.0, "q50": 1.0, "q90": 2.0}
        return [{**one, "basis": "own_history", "forecast": [point]} for one in series]


class Broken:
    """Fails on every question, with an id in the message."""

    def __init__(self, folder: Path) -> None: ...

    def answer(self, customer_ids: list[str], *_: object) -> list[dict[str, Any]]:
        raise RuntimeError(f"cannot answer for {customer_ids}")


@pytest.fixture(scope="session")
def people_as_of() -> datetime:
    """The instant that `people` are answered at."""
    return datetime(2017, 11, 6)


@pytest.fixture(scope="session")
def people(
    journey: Dataset, people_as_of: datetime, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What answers about customers, by task, from small models of the small data set."""
    found = {}
    models = (
        ChurnModel(rounds=40),
        NextPurchaseModel(rounds=40),
        NextCategoryModel(rounds=40),
        ValueModel(rounds=40),
    )
    for model in models:
        task, folder = TASKS[model.name], tmp_path_factory.mktemp(model.name)
        task.publish(model.fit(journey, people_as_of), journey, people_as_of, folder)
        found[model.name] = SERVED[model.name](folder)
        for name, companion in task.companions.items():
            folder = tmp_path_factory.mktemp(name)
            companion.publish(journey, people_as_of, folder)
            found[name] = SERVED[name](folder)
    return found


READERS = {"recommender": Lists, "demand": Series, "churn": Broken}


@pytest.fixture
def publish_by_hand() -> Callable[..., Path]:
    """Publish a version of a recommender that shows given products, and make it current."""

    def publish(
        home: Path, name: str, products: str = "milk bread", *, tasks: str = "recommender"
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
            version=name, dataset="d", created=created, models=models
        )
        folder = published.finish(home, draft, record)
        published.switch(home, name)
        return folder

    return publish


@pytest.fixture
def readers() -> dict[str, Callable[[Path], Any]]:
    """What reads the folders that `publish_by_hand` writes."""
    return dict(READERS)
