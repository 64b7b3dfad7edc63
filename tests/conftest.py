"""Shared fixtures: a fixed sample of the bundled households, and options of quick training."""

import os
import shutil
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
from filelock import FileLock
from hypothesis import settings

from features.dataset import Dataset, open_dataset
from features.ingest.pipeline import import_tables
from features.ingest.sources import complete_journey

# Examples take longer on a loaded machine.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

ROOT = Path(__file__).parent
# Features, forecasts and candidates of rarely bought products cost time and show nothing more.
PRODUCTS = 2_000
# Folders and files whose tests train models, start servers, kill processes or execute notebooks,
# the longest first. One process runs an entry, so that its fixtures are made once; paths that share
# fixtures are one entry.
SLOW = (
    "end_to_end/test_shapes.py",
    "end_to_end",
    "notebooks",
    "training/test_contract.py",
    "training/models/demand",
    "training/models/recommender",
    "foresell/cli/test_commands.py",
    "serving/recommender",
    "training/models/churn",
    "training/test_tracking.py",
    "training/retraining",
    "training/test_degenerate_shops.py",
    "training/models/value",
    "serving/customers serving/audience",
    "training/test_backtest.py",
    "training/monitoring",
    "foresell/test_prune.py",
    "foresell/cli/test_light_commands.py",
    "foresell/test_backup.py",
    "foresell/test_partitions.py",
    "foresell/test_forecast_options.py",
    "foresell/cli/test_audience.py",
    "training/models/next_purchase",
    "training/models/next_category",
    "training/test_tuning.py",
    "serving/test_admin.py",
    "foresell/test_python_interface.py",
    "foresell/test_packages.py",
    "features/events/test_kills.py",
    "features/ingest/test_crash_safety.py",
    "features/ingest/test_corrected_mapping.py",
    "features/test_erasure.py",
    "training/test_registry.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, start them first, and let one process run those that share fixtures."""
    ranks: dict[str, int] = {}
    for item in items:
        path = item.path.relative_to(ROOT)
        entry = next((e for e in SLOW if any(map(path.is_relative_to, e.split()))), None)
        if entry is not None:
            item.add_marker("slow")
        item.add_marker(pytest.mark.xdist_group(entry or str(path)))
        ranks[item.nodeid] = len(SLOW) if entry is None else SLOW.index(entry)
    items.sort(key=lambda item: ranks[item.nodeid])


def _as_columns(answer: dict[str, Any]) -> dict[str, Any]:
    lists = ("within", "quantiles", "horizons", "explanation")
    row = {name: value for name, value in answer.items() if name not in lists}
    for entry in answer.get("within", []):
        row[f"p_within_{entry['days']}"] = entry["probability"]
    for entry in answer.get("quantiles", []):
        row[f"q{100 * entry['level']:g}"] = entry["days" if "days" in entry else "units"]
    for entry in answer.get("horizons", []):
        days = entry["days"]
        row |= {f"orders_{days}": entry["orders"], f"value_{days}": entry["value"]}
        row |= {f"value_{days}_q10": entry["low"], f"value_{days}_q90": entry["high"]}
    if "explanation" in answer:
        row["explanation"] = {part["reason"]: part["units"] for part in answer["explanation"]}
    return row


@pytest.fixture(scope="session")
def as_columns() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Turn the lists of an answer (days, quantiles, horizons, reasons) into columns of batches."""
    return _as_columns


@pytest.fixture(scope="session")
def quick() -> dict[str, dict[str, Any]]:
    """Options that train a model in seconds, for tests that do not measure its accuracy."""
    return {
        "demand": {"rounds": 15, "members": 1},
        "next-category": {"rounds": 30, "periods": 30_000, "cutoffs": 3},
        "value": {"rounds": 40},
        "recommender": {"cutoffs": 1, "rounds": 15, "scored_products": 500},
    }


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def home_of(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a home with some bundled households and products, imported once per run."""

    def imported(count: int) -> Path:
        stored = run_folder / f"imported_{count}"
        with FileLock(run_folder / f"imported_{count}.lock"):
            if not stored.exists():
                draft = tmp_path_factory.mktemp("draft")
                tables = complete_journey.read(households=count, products=PRODUCTS)
                import_tables(draft, complete_journey.NAME, tables, max_bad_share=0.05)
                draft.rename(stored)
        return Path(shutil.copytree(stored, tmp_path_factory.mktemp("homes") / "home"))

    return imported


@pytest.fixture(scope="session")
def home(home_of: Callable[[int], Path]) -> Path:
    """A Foresell home with 300 of the bundled households and the products they buy most."""
    return home_of(300)


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
