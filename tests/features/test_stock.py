"""Which days count as out of stock, by generated tables of stock and sales."""

from datetime import datetime

import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.stock import days_out_of_stock, out_of_stock_at

AS_OF = datetime(2024, 6, 3)
DAY = to_day(AS_OF)


def dataset(stock, sold=()):
    """Make a shop; rows of stock and sales give days before `AS_OF`."""
    rows = [("p", "n", -400), ("q", "n", -400), *sold]
    sales = pl.DataFrame(
        {
            "product_id": [row[0] for row in rows],
            "location_id": [row[1] for row in rows],
            "day": pl.Series([DAY + row[2] for row in rows], dtype=pl.Int32),
            "quantity": 1.0,
        }
    )
    last = pl.DataFrame({"product_id": "z", "location_id": "n", "day": [DAY + 9], "quantity": 1.0})
    records = pl.DataFrame(
        {
            "product_id": [row[0] for row in stock],
            "location_id": [row[1] for row in stock],
            "day": pl.Series([DAY + row[2] for row in stock], dtype=pl.Int32),
            "on_hand": [float(row[3]) for row in stock],
        }
    )
    everything = pl.concat([sales, last.cast(sales.schema)])
    return Dataset.from_frames("shop", {"sales": everything, "stock": records})


def days(shop, product="p", day=DAY):
    rows = days_out_of_stock(shop, day).filter(pl.col("product_id") == product)
    return sorted(row - DAY for row in rows.get_column("day"))


def out(shop, day=DAY):
    rows = out_of_stock_at(shop, day).filter("out")
    return sorted(rows.select("product_id", "location_id").iter_rows())


def daily(product, stock, until=-1, location="n"):
    """List one record a day, the last on the day `until`."""
    return [(product, location, until - k, units) for k, units in enumerate(reversed(stock))]


def test_the_last_record_carries_forward_where_the_table_ends_before_the_records():
    shop = dataset(daily("p", [9, 9, 0], until=-3) + daily("q", [9, 0, 9], until=-3))
    assert days(shop) == [-3, -2, -1]
    assert days(shop, "q") == [-4]
    assert out(shop) == [("p", "n")]


def test_a_record_of_changes_holds_until_the_next_change():
    log = [("p", "n", -60, 5), ("p", "n", -40, 0), ("p", "n", -20, 7), ("q", "n", -9, 3)]
    assert days(dataset(log)) == list(range(-40, -20))


def test_stock_that_ended_long_ago_is_not_known():
    shop = dataset(daily("p", [9, 9, 0], until=-30))
    assert days(shop) == list(range(-30, -22))
    assert out_of_stock_at(shop, DAY).is_empty()


@pytest.mark.parametrize(("interval", "last"), [(1, 7), (7, 28)])
def test_how_long_a_record_carries_forward_follows_the_usual_interval(interval, last):
    weeks = [("p", "n", -100 - interval * k, 0 if k == 0 else 5) for k in range(6)]
    assert days(dataset(weeks)) == list(range(-100, -100 + last + 1))


def test_a_sale_shows_that_a_product_is_back_before_a_record_does():
    shop = dataset(daily("p", [9, 0], until=-5), sold=[("p", "n", -3)])
    assert days(shop) == [-5, -4]
    assert out(shop) == []


def test_a_day_with_sales_is_not_without_stock():
    shop = dataset(daily("p", [9, 0, 0, 0]), sold=[("p", "n", -2)])
    assert days(shop) == [-3, -1]


def test_sales_at_another_location_say_nothing():
    stock = daily("p", [9, 0], until=-5) + daily("p", [9, 9], until=-5, location="s")
    shop = dataset(stock, sold=[("p", "s", -3)])
    assert days(shop) == [-5, -4, -3, -2, -1]
    assert out(shop) == [("p", "n")]


def test_a_list_of_stock_outs_holds_for_its_days():
    listed = [("p", "n", -20, 0), ("p", "n", -19, 0), ("q", "n", -3, 0)]
    shop = dataset(listed)
    assert days(shop) == [-20, -19]
    assert days(shop, "q") == [-3, -2, -1]


def test_later_records_change_nothing_before_them():
    stock = daily("p", [9, 0, 0, 9, 9, 0], until=-1)
    shop, at = dataset(stock, sold=[("p", "n", -2)]), DAY - 3
    early = dataset([row for row in stock if row[2] < -3])
    assert days(shop, day=at) == days(early, day=at) == [-5, -4]
    assert out(shop, day=at) == out(early, day=at) == [("p", "n")]
