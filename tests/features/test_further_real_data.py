"""Two further real shops come in by a mapping file alone: Ta-Feng's log, Walmart's shelf data."""

import os
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from features.dataset import Dataset, open_dataset
from features.intake import import_tables
from features.mapping_file import read_mapping
from features.sources.mapped import read_mapped

FOLDER = Path(os.environ.get("FORESELL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TA_FENG = """name = "ta-feng"
[orders]
path = "ta_feng.parquet"
columns = { customer_id = "customer_id", product_id = "product_id", ts = "transaction_dt", quantity = "amount", revenue = "sales_price" }
[products]
path = "ta_feng.parquet"
columns = { product_id = "product_id", category = "product_subclass" }
"""  # noqa: E501
WALMART = """name = "walmart"
[sales]
path = "m5_tx3_foods3.parquet"
columns = { product_id = "item_id", location_id = "store_id", day = "date", quantity = "sales", price = "sell_price" }
"""  # noqa: E501


@pytest.fixture
def bring(tmp_path):
    """Import a mapping of files in the shared folder."""
    if not FOLDER.is_dir():
        reason = f"the shared data are not at {FOLDER}; FORESELL_SHARED_DATA names their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def read(text: str) -> Dataset:
        path = tmp_path / "shop.toml"
        path.write_text(f'folder = "{FOLDER}"\n{text}')
        mapping = read_mapping(path)
        (tmp_path / "scratch").mkdir()
        tables = read_mapped(mapping, datetime.now(), tmp_path / "scratch")
        import_tables(tmp_path, mapping.name, tables, max_bad_share=0.0)
        return open_dataset(tmp_path, mapping.name)

    return read


def test_a_log_without_order_ids_has_one_order_a_customer_and_day(bring):
    dataset = bring(TA_FENG)
    stored = dataset.table("orders").collect().to_polars()
    raw = pl.read_parquet(FOLDER / "ta_feng.parquet")
    assert stored.height == raw.height
    assert stored.get_column("quantity").sum() == raw.get_column("amount").sum()
    visits = raw.select("customer_id", "transaction_dt").n_unique()
    assert stored.get_column("order_id").n_unique() == visits
    assert dataset.table("products").collect().shape[0] == 23_812


def test_daily_sales_come_in_whole(bring):
    stored = bring(WALMART).table("sales").collect().to_polars()
    assert stored.height == 1_620_487
    assert stored.get_column("product_id").n_unique() == 823
