"""A shop's files, imported by a mapping."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from features.dataset import Dataset, open_dataset
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
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
    """A mapping of a till's files; rules of order lines may be appended."""
    return MAPPING


@pytest.fixture(scope="session")
def import_files() -> Callable[..., tuple[ImportReport, Dataset, pl.DataFrame]]:
    """Import files by a mapping, on 2024-06-01; returns report, dataset and quarantine.

    A file is given as its text, or as lines to be written below `header`.
    """

    def import_files(
        folder: Path,
        *,
        mapping: str = MAPPING,
        rules: str = "",
        header: str = HEADER,
        **files: str | list[str],
    ) -> tuple[ImportReport, Dataset, pl.DataFrame]:
        for name, content in files.items():
            lines = content if isinstance(content, str) else "\n".join([header, *content, ""])
            (folder / f"{name}.csv").write_text(lines)
        (folder / "shop.toml").write_text(mapping + rules)
        with TemporaryDirectory() as scratch:
            tables = read_mapped(read_mapping(folder / "shop.toml"), NOW, Path(scratch))
            report = import_tables(folder / "home", "shop", tables, max_bad_share=1.0)
        rejected = scan_quarantine(quarantine_file(folder / "home", "shop")).collect()
        return report, open_dataset(folder / "home", "shop"), rejected

    return import_files
