"""Lists of everyone at once: what a service would answer, as a frame.

A fitted recommender and records in; rows out, from the same shelf and through the same code
as one request after another.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from features.dataset import Dataset
from features.errors import InvalidInput
from serving.recommender import item_to_item as goods
from serving.recommender.query import LISTS, LONGEST, Filters, ListQuery
from serving.recommender.request import ListRequest
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

PRODUCT_LISTS = ("similar", "together", "customers_for_product")
COMPANIONS = 20
ROWS_AT_ONCE = 100_000

LIST: dict[str, Any] = {
    "customer_id": pl.String,
    "rank": pl.Int32,
    "product_id": pl.String,
    "score": pl.Float64,
    "reason": pl.String,
    "explanations": pl.List(pl.String),
}
DUE: dict[str, Any] = {"due": pl.String, "expected_on": pl.String}
SIMILAR = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "similar_product_id": pl.String,
    "score": pl.Float64,
}
TOGETHER = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "together_product_id": pl.String,
    "score": pl.Float64,
    "lift": pl.Float64,
    "support": pl.Float64,
    "confidence": pl.Float64,
}
BUYERS = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "customer_id": pl.String,
    "score": pl.Float64,
    "bought_before": pl.Boolean,
}


def batch_list(
    model: RecommenderModel, dataset: Dataset, as_of: datetime, list_name: str, *, k: int = LONGEST
) -> pl.DataFrame:
    """Answer for all customers, or with a kind of `PRODUCT_LISTS` for all products.

    Raises
    ------
    InvalidInput
        If there is no such kind.
    """
    if list_name not in (*LISTS, *PRODUCT_LISTS):
        raise InvalidInput(
            f"list = {list_name!r} is unknown; use one of {', '.join((*LISTS, *PRODUCT_LISTS))}.",
            field="list",
        )
    with tempfile.TemporaryDirectory() as folder:
        publish(model, dataset, as_of, Path(folder))
        shelf = RecommenderIndex.load(Path(folder))
        if list_name in LISTS:
            return _of_customers(shelf, list_name, k, _customers(dataset, as_of))
        return PRODUCTS[list_name](
            shelf, min(k, COMPANIONS) if list_name != "customers_for_product" else k
        )


def _customers(dataset: Dataset, as_of: datetime) -> list[str]:
    """Return all who bought before an instant, be it nothing that could be listed."""
    ids = dataset.known("orders", as_of).select("customer_id").drop_nulls().unique()
    return ids.sort("customer_id").collect()["customer_id"].to_list()


def _of_customers(
    shelf: RecommenderIndex, list_name: str, k: int, customers: list[str]
) -> pl.DataFrame:
    request = ListRequest(shelf, ListQuery(list_name=list_name, k=k))
    schema = pl.Schema(LIST | (DUE if list_name == "buy_again" else {}))
    rows = (
        (answer["customer_id"], *(item.get(name) for name in list(schema)[1:]))
        for answer in map(request.answer, customers)
        for item in answer["items"]
    )
    return _frame(rows, schema)


def _frame(rows: Iterable[tuple[Any, ...]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Lay rows out part by part: as tuples all of them would take ten times the memory."""
    left = iter(rows)
    parts = [pl.DataFrame(schema=schema)]
    while some := list(islice(left, ROWS_AT_ONCE)):
        parts.append(pl.DataFrame(some, schema, orient="row"))
    return pl.concat(parts)


def _rows(
    shelf: RecommenderIndex, answer: Callable[[str], dict[str, Any]], items: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for product in shelf.catalogue.ids:
        for item in answer(product)[items]:
            yield product, item


def _similar(shelf: RecommenderIndex, k: int) -> pl.DataFrame:
    rows = _rows(shelf, lambda one: goods.similar(shelf, one, k, Filters()), "items")
    found = ((one, item["rank"], item["product_id"], item["score"]) for one, item in rows)
    return _frame(found, SIMILAR)


def _together(shelf: RecommenderIndex, k: int) -> pl.DataFrame:
    rows = _rows(shelf, lambda one: goods.together(shelf, [one], k, Filters()), "items")
    names = ("rank", "product_id", "score", "lift", "support", "confidence")
    found = ((one, *(item[name] for name in names)) for one, item in rows)
    return _frame(found, TOGETHER)


def _customers_for(shelf: RecommenderIndex, k: int) -> pl.DataFrame:
    rows = _rows(shelf, lambda one: goods.customers_for(shelf, one, k), "customers")
    names = ("rank", "customer_id", "score", "bought_before")
    found = ((one, *(item[name] for name in names)) for one, item in rows)
    return _frame(found, BUYERS)


PRODUCTS: dict[str, Callable[[RecommenderIndex, int], pl.DataFrame]] = {
    "similar": _similar,
    "together": _together,
    "customers_for_product": _customers_for,
}
