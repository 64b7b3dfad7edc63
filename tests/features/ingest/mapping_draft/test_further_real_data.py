"""Imports of two further real datasets by drafts of mappings: Ta-Feng, and Walmart (M5)."""

import os
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from features.dataset import Dataset, open_dataset
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping_draft import draft_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped

FOLDER = Path(os.environ.get("FORESELL_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))


@pytest.fixture
def import_file(tmp_path):
    """Drafts a mapping of a file in the shared folder and imports the file by it."""
    if not FOLDER.is_dir():
        reason = f"the shared data are not at {FOLDER}; FORESELL_SHARED_DATA names their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def read(name: str) -> Dataset:
        path = tmp_path / "shop.toml"
        (tmp_path / "scratch").mkdir()
        path.write_text(draft_mapping([FOLDER / name], tmp_path, tmp_path / "scratch"))
        mapping = read_mapping(path)
        tables = read_mapped(mapping, datetime.now(), tmp_path / "scratch")
        import_tables(tmp_path, mapping.name, tables, max_bad_share=0.0)
        return open_dataset(tmp_path, mapping.name)

    return read


def test_a_log_without_order_ids_has_one_order_per_customer_and_day(import_file):
    dataset = import_file("ta_feng.parquet")
    stored = dataset.table("orders").collect().to_polars()
    raw = pl.read_parquet(FOLDER / "ta_feng.parquet")
    assert stored.height == raw.height
    assert stored.get_column("quantity").sum() == raw.get_column("amount").sum()
    visits = raw.select("customer_id", "transaction_dt").n_unique()
    assert stored.get_column("order_id").n_unique() == visits
    assert dataset.table("products").collect().shape[0] == 23_812


def test_daily_sales_are_imported_completely(import_file):
    stored = import_file("m5_tx3_foods3.parquet").table("sales").collect().to_polars()
    assert stored.height == 1_620_487
    assert stored.get_column("product_id").n_unique() == 823
