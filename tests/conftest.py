"""Shared fixtures: a fixed sample of the bundled households, and options of quick training."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

# As on the command line, and before any library reads them: several threads are slower than one
# on small matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import narwhals as nw
import polars as pl
import pytest

from features.dataset import Dataset, open_dataset
from features.ingest.pipeline import import_tables
from features.ingest.sources import complete_journey


@pytest.fixture(scope="session")
def quick() -> dict[str, dict[str, Any]]:
    """Options that train a model in seconds, for tests that do not measure its accuracy."""
    return {
        "demand": {"rounds": 15, "members": 1},
        "next-category": {"rounds": 30, "periods": 30_000, "cutoffs": 3},
        "value": {"rounds": 40},
        "recommender": {
            "static_rounds": 15,
            "context_rounds": 15,
            "cutoffs": 1,
            "scored_products": 500,
        },
    }


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Foresell home with 300 of the bundled households."""
    home = tmp_path_factory.mktemp("home")
    tables = complete_journey.read(households=300)
    import_tables(home, complete_journey.NAME, tables, max_bad_share=0.05)
    return home


@pytest.fixture(scope="session")
def journey(home: Path) -> Dataset:
    """The bundled data set, 300 households."""
    return open_dataset(home, complete_journey.NAME)


@pytest.fixture(scope="session")
def orders(journey: Dataset) -> pl.DataFrame:
    """The order lines of `journey`."""
    return journey.table("orders").collect().to_polars()


@pytest.fixture(scope="session")
def mlruns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared tracking store: creating one takes longer than using it."""
    return tmp_path_factory.mktemp("mlruns")


@pytest.fixture(scope="session")
def rewritten() -> Callable[..., Dataset]:
    """Return a copy of a dataset in which some tables are replaced."""

    def rewrite(dataset: Dataset, **frames: pl.DataFrame | pl.LazyFrame) -> Dataset:
        tables = {name: nw.from_native(frame).lazy() for name, frame in frames.items()}
        return Dataset(dataset.name, "rewritten", {**dataset.tables, **tables})

    return rewrite


@pytest.fixture(scope="session")
def shop() -> Callable[..., Dataset]:
    """Return a function that builds a dataset of order lines, and of further tables.

    A line is (customer, order, product, days before `as_of`, location).
    """

    def build(rows: list[tuple[Any, ...]], as_of: datetime, **tables: pl.DataFrame) -> Dataset:
        names = ["customer_id", "order_id", "product_id", "age", "location_id"]
        orders = pl.DataFrame(rows, names, orient="row").with_columns(
            (pl.lit(as_of) - pl.duration(days="age")).alias("ts"),
            pl.lit(1.0).alias("quantity"),
            pl.lit(2.0).alias("revenue"),
            pl.lit("sale").alias("kind"),
            pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        )
        return Dataset.from_frames("shop", {"orders": orders.drop("age"), **tables})

    return build
