"""Lists of all customers or products as a frame, the same as served over HTTP.

A fitted recommender and records in; rows out.
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
from serving.recommender import item_to_item
from serving.recommender.query import LISTS, MAX_LENGTH, Filters, ListQuery
from serving.recommender.request import ListRequest
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

PRODUCT_LISTS = ("similar", "together", "customers_for_product")
# Products listed for each product.
MAX_ITEMS = 20
ROWS_AT_ONCE = 100_000

CUSTOMER_COLUMNS: dict[str, Any] = {
    "customer_id": pl.String,
    "rank": pl.Int32,
    "product_id": pl.String,
    "score": pl.Float64,
    "reason": pl.String,
    "explanations": pl.List(pl.String),
    "ordered_by": pl.List(pl.String),
}
REPLENISHMENT_COLUMNS: dict[str, Any] = {"due": pl.String, "expected_on": pl.String}
SIMILAR_COLUMNS = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "similar_product_id": pl.String,
    "score": pl.Float64,
}
TOGETHER_COLUMNS = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "together_product_id": pl.String,
    "score": pl.Float64,
    "lift": pl.Float64,
    "support": pl.Float64,
    "confidence": pl.Float64,
}
BUYER_COLUMNS = {
    "product_id": pl.String,
    "rank": pl.Int32,
    "customer_id": pl.String,
    "score": pl.Float64,
    "bought_before": pl.Boolean,
}


def batch_list(
    model: RecommenderModel,
    dataset: Dataset,
    as_of: datetime,
    list_name: str,
    *,
    k: int = MAX_LENGTH,
) -> pl.DataFrame:
    """Return a list of all customers, or one of `PRODUCT_LISTS` of all products.

    Raises
    ------
    InvalidInput
        If there is no list of that name.
    """
    names = (*LISTS, *PRODUCT_LISTS)
    if list_name not in names:
        raise InvalidInput(
            f"list = {list_name!r} does not exist; use one of {', '.join(names)}.", field="list"
        )
    with tempfile.TemporaryDirectory() as folder:
        publish(model, dataset, as_of, Path(folder))
        index = RecommenderIndex.load(Path(folder))
        if list_name in LISTS:
            return _customer_list(index, list_name, k, _customers(dataset, as_of))
        length = k if list_name == "customers_for_product" else min(k, MAX_ITEMS)
        return _PRODUCT_LISTS[list_name](index, length)


def _customers(dataset: Dataset, as_of: datetime) -> list[str]:
    """Return all customers with orders, including those without a known product."""
    ids = dataset.known("orders", as_of).select("customer_id").drop_nulls().unique()
    return ids.sort("customer_id").collect()["customer_id"].to_list()


def _customer_list(
    index: RecommenderIndex, list_name: str, k: int, customers: list[str]
) -> pl.DataFrame:
    request = ListRequest(index, ListQuery(list_name=list_name, k=k))
    added = REPLENISHMENT_COLUMNS if list_name == "buy_again" else {}
    schema = pl.Schema(CUSTOMER_COLUMNS | added)
    rows = (
        tuple((answer | item).get(name) for name in schema)
        for answer in request.answers(customers)
        for item in answer["items"]
    )
    return _frame(rows, schema)


def _frame(rows: Iterable[tuple[Any, ...]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Build a frame in parts, because all rows as tuples take ten times its memory."""
    remaining = iter(rows)
    parts = [pl.DataFrame(schema=schema)]
    while part := list(islice(remaining, ROWS_AT_ONCE)):
        parts.append(pl.DataFrame(part, schema, orient="row"))
    return pl.concat(parts)


def _product_rows(
    index: RecommenderIndex,
    answer: Callable[[str], dict[str, Any]],
    items: str,
    names: tuple[str, ...],
) -> Iterator[tuple[Any, ...]]:
    """Yield the product and some fields of each item of its answer."""
    for product in index.catalogue.ids:
        for item in answer(product)[items]:
            yield (product, *(item[name] for name in names))


def _similar(index: RecommenderIndex, k: int) -> pl.DataFrame:
    def answer(product: str) -> dict[str, Any]:
        return item_to_item.similar(index, product, k, Filters())

    rows = _product_rows(index, answer, "items", ("rank", "product_id", "score"))
    return _frame(rows, SIMILAR_COLUMNS)


def _together(index: RecommenderIndex, k: int) -> pl.DataFrame:
    def answer(product: str) -> dict[str, Any]:
        return item_to_item.bought_together(index, [product], k, Filters())

    names = ("rank", "product_id", "score", "lift", "support", "confidence")
    return _frame(_product_rows(index, answer, "items", names), TOGETHER_COLUMNS)


def _customers_for(index: RecommenderIndex, k: int) -> pl.DataFrame:
    def answer(product: str) -> dict[str, Any]:
        return item_to_item.customers_for(index, product, k)

    names = ("rank", "customer_id", "score", "bought_before")
    return _frame(_product_rows(index, answer, "customers", names), BUYER_COLUMNS)


_PRODUCT_LISTS: dict[str, Callable[[RecommenderIndex, int], pl.DataFrame]] = {
    "similar": _similar,
    "together": _together,
    "customers_for_product": _customers_for,
}
