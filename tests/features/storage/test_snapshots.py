"""Snapshots on disk: parts, manifests and names."""

import polars as pl
import pytest

from features.dataset import open_dataset
from features.errors import InvalidInput
from features.storage.snapshots import (
    commit_snapshot,
    dataset_folder,
    part_number,
    part_numbers,
    write_part,
)
from features.tables import TABLES


@pytest.fixture
def orders() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "order_id": ["1", "2", "3"],
            "line": pl.Series([0, 0, 0], dtype=pl.Int32),
            "quantity": [1.0, 2.0, 3.0],
        }
    )


def store(home, *parts: pl.DataFrame) -> str:
    folder = dataset_folder(home, "shop")
    return commit_snapshot(folder, {"orders": [write_part(folder, "orders", p) for p in parts]})


def test_parts_of_a_table_are_read_together(tmp_path, orders):
    store(tmp_path, orders.head(1), orders.tail(2))
    read = open_dataset(tmp_path, "shop").table("orders").collect().to_polars()
    assert read.sort("order_id").equals(orders)


def test_a_manifest_with_one_file_per_table_is_read(tmp_path, orders):
    folder = dataset_folder(tmp_path, "shop")
    commit_snapshot(folder, {"orders": write_part(folder, "orders", orders)})
    read = open_dataset(tmp_path, "shop").table("orders").collect().to_polars()
    assert read.equals(orders)


def test_other_content_is_another_snapshot_and_the_first_stays_readable(tmp_path, orders):
    first = store(tmp_path, orders)
    second = store(tmp_path, orders.head(2))
    assert first != second
    assert open_dataset(tmp_path, "shop").snapshot == second
    former = open_dataset(tmp_path, "shop", first)
    assert former.table("orders").collect().to_polars().height == 3


def test_an_incomplete_part_left_by_a_crash_changes_nothing(tmp_path, orders):
    snapshot = store(tmp_path, orders)
    (dataset_folder(tmp_path, "shop") / "tables" / ".orders.999.parquet").write_bytes(b"half")
    assert open_dataset(tmp_path, "shop").snapshot == snapshot


def test_a_dataset_name_with_a_path_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="Dataset name"):
        open_dataset(tmp_path, "../elsewhere")


def test_neighbours_with_equal_ids_are_in_the_part_of_their_ids():
    rows = pl.DataFrame(
        {"product_id": ["a", "a", "b", "a", "a"], "location_id": ["1", "1", None, "1", "2"]}
    )
    expected = rows.select(part_number(TABLES["prices"], rows.columns, 64)).to_series()
    assert part_numbers(TABLES["prices"], rows, 64).to_list() == expected.to_list()
