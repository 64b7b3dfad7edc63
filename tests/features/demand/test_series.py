"""Series of a grain and their units."""

from datetime import datetime

import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, steady_series, units_matrix

WEEKLY = Grain.parse("product:week")
DAY = 17_000


def collected(frame):
    return frame.collect().to_polars()


def test_returns_are_not_demand():
    orders = pl.DataFrame(
        {
            "order_id": ["1", "2"],
            "line": [0, 0],
            "product_id": ["a", "b"],
            "ts": [datetime(2017, 1, 1), datetime(2017, 1, 1)],
            "quantity": [1.0, 1.0],
            "kind": ["sale", "return"],
        }
    )
    index = all_series(Dataset.from_frames("x", {"orders": orders}), WEEKLY).index
    assert collected(index)["product_id"].to_list() == ["a"]


def test_steady_series_have_a_mean_of_at_least_one_unit_per_period(shop):
    rows = [("often", "1", DAY + k, 1.0) for k in range(196)]
    rows += [("seldom", "1", DAY + 5, 1.0)]
    steady = collected(steady_series(shop(rows), WEEKLY, DAY + 196))
    assert steady["product_id"].to_list() == ["often"]


def test_units_are_an_array_of_series_by_period(shop):
    rows = [("a", "1", DAY, 2.0), ("a", "1", DAY + 8, 3.0), ("b", "1", DAY + 1, 1.0)]
    series = pl.DataFrame({"product_id": ["b", "a", "c"]})
    units = units_matrix(shop(rows), WEEKLY, DAY, 2, series)
    assert units.tolist() == [[1, 0], [2, 3], [0, 0]]
