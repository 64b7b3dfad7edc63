"""Datasets of a few sales by hand, for tests of demand features."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from features.dataset import Dataset

SALES = {
    "product_id": pl.String,
    "location_id": pl.String,
    "day": pl.Int32,
    "quantity": pl.Float64,
}
PROMOTIONS = {
    "product_id": pl.String,
    "location_id": pl.String,
    "kind": pl.String,
    "from_day": pl.Int32,
    "to_day": pl.Int32,
}
PRICES = {
    "product_id": pl.String,
    "location_id": pl.String,
    "from_day": pl.Int32,
    "price": pl.Float64,
}


@pytest.fixture(scope="session")
def shop() -> Callable[..., Dataset]:
    """Build a dataset from rows of sales, promotions and prices, in the order of the columns."""

    def build(
        sales: list[tuple[Any, ...]],
        promotions: list[tuple[Any, ...]] | None = None,
        prices: list[tuple[Any, ...]] | None = None,
    ) -> Dataset:
        tables = {
            "sales": (sales, SALES),
            "promotions": (promotions, PROMOTIONS),
            "prices": (prices, PRICES),
        }
        frames = {
            name: pl.DataFrame(rows, schema=schema, orient="row")
            for name, (rows, schema) in tables.items()
            if rows is not None
        }
        return Dataset.from_frames("shop", frames)

    return build
