"""Datasets: records known at an instant, and what is refused."""

from datetime import datetime

import pandas as pd
import polars as pl
import pytest

from features.dataset import Dataset, open_dataset
from features.errors import InvalidInput, MissingData, NotFound
from features.storage.snapshots import commit_snapshot, dataset_folder, list_datasets, write_part


@pytest.fixture
def orders() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_id": ["a", "b", "a"],
            "order_id": ["1", "2", "3"],
            "line": pl.Series([0, 0, 0], dtype=pl.Int32),
            "ts": [datetime(2024, 5, day, 12) for day in (1, 2, 3)],
            "day": pl.Series([19844, 19845, 19846], dtype=pl.Int32),
            "quantity": [1.0, 2.0, 3.0],
            "kind": ["sale"] * 3,
        }
    )


def test_records_at_or_after_as_of_are_not_known(orders):
    dataset = Dataset.from_frames("shop", {"orders": orders})
    known = dataset.known("orders", datetime(2024, 5, 2, 12)).collect().to_polars()
    assert known.get_column("order_id").to_list() == ["1"]


def test_the_end_is_the_day_after_the_last_record(orders):
    assert Dataset.from_frames("shop", {"orders": orders}).end == datetime(2024, 5, 4)


@pytest.mark.parametrize("engine", ["polars", "pandas"])
def test_a_missing_day_is_computed_from_ts(orders, engine):
    frame = orders.drop("day")
    native = frame if engine == "polars" else frame.to_pandas()
    dataset = Dataset.from_frames("shop", {"orders": native})
    days = dataset.table("orders").select("day").collect().to_pandas()["day"]
    pd.testing.assert_series_equal(
        days, orders.to_pandas()["day"], check_dtype=False, check_index=False
    )


def test_a_frame_without_a_required_column_is_refused_by_name(orders):
    with pytest.raises(InvalidInput, match="'day or ts'"):
        Dataset.from_frames("shop", {"orders": orders.drop("ts", "day")})


def test_a_missing_table_is_named(orders):
    with pytest.raises(MissingData, match="'stock'"):
        Dataset.from_frames("shop", {"orders": orders}).table("stock")


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path, orders):
    folder = dataset_folder(tmp_path, "shop")
    commit_snapshot(folder, {"orders": [write_part(folder, "orders", orders)]})
    with pytest.raises(NotFound, match="shop"):
        open_dataset(tmp_path, "shp")
    assert list_datasets(tmp_path) == ["shop"]


def test_the_latest_as_of_is_the_end_of_the_last_recorded_day(orders):
    shop = Dataset.from_frames("shop", {"orders": orders})
    assert shop.instant() == shop.instant("2024-05-04") == datetime(2024, 5, 4)
    assert shop.instant("2024-05-02T09:30") == datetime(2024, 5, 2, 9, 30)
    with pytest.raises(InvalidInput, match=r"2024-05-05.* up to 2024-05-04"):
        shop.instant("2024-05-05")
