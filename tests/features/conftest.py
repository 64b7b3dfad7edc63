"""Shops written by hand: files that a mapping imports, and the visits of one customer."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest

from features.calendar import day_start, to_day
from features.dataset import Dataset, open_dataset
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.report import ImportReport
from features.ingest.sources.mapped import read_mapped

NOW = datetime(2024, 6, 1)
HEADER = "Customer,Invoice,Code,When,Qty,Price"
MAPPING = """name = "shop"
[orders]
path = "till*.csv"
columns = { customer_id = "Customer", order_id = "Invoice", product_id = "Code", ts = "When", quantity = "Qty", unit_price = "Price" }
"""  # noqa: E501


@pytest.fixture(scope="session")
def till_mapping() -> str:
    """How a till's files are mapped; rules of order lines may be appended."""
    return MAPPING


@pytest.fixture(scope="session")
def bring() -> Callable[..., tuple[ImportReport, Dataset, pl.DataFrame]]:
    """Import files by a mapping, on 2024-06-01; returns report, dataset and quarantine.

    A file is its text, or a list of lines that stand below a header: the till's or another.
    """

    def bring(
        folder: Path,
        *,
        mapping: str = MAPPING,
        rules: str = "",
        header: str = HEADER,
        **files: str | list[str],
    ) -> tuple[ImportReport, Dataset, pl.DataFrame]:
        for name, given in files.items():
            text = given if isinstance(given, str) else "\n".join([header, *given, ""])
            (folder / f"{name}.csv").write_text(text)
        (folder / "shop.toml").write_text(mapping + rules)
        with TemporaryDirectory() as scratch:
            tables = read_mapped(read_mapping(folder / "shop.toml"), NOW, Path(scratch))
            report = import_tables(folder / "home", "shop", tables, max_bad_share=1.0)
        rejected = pl.read_parquet(folder / "home" / "quarantine" / "shop.parquet")
        return report, open_dataset(folder / "home", "shop"), rejected

    return bring


@pytest.fixture(scope="session")
def one_customer() -> Callable[..., Dataset]:
    """A shop with one customer, one line a visit, so many days before 2017-09-04 at noon."""

    def shop(ages: list[int], **columns: Any) -> Dataset:
        days = [to_day("2017-09-04") - age for age in ages]
        orders = pl.DataFrame(
            {
                "customer_id": ["a"] * len(days),
                "order_id": [str(k) for k in range(len(days))],
                "line": pl.Series([0] * len(days), dtype=pl.Int32),
                "ts": [day_start(day).replace(hour=12) for day in days],
                "day": pl.Series(days, dtype=pl.Int32),
                "quantity": [1.0] * len(days),
                "kind": ["sale"] * len(days),
                **columns,
            }
        )
        return Dataset.from_frames("shop", {"orders": orders})

    return shop
