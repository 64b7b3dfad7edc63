"""Prices paid, which stand in for a table of prices."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan import read_plan
from features.demand.prices import paid_prices
from features.demand.scenario import apply_plan
from features.errors import MissingData

FIRST = datetime(2024, 3, 4)
LOCATED = Grain.parse("product,location:day")


def day(number: int) -> int:
    return (FIRST - datetime(1970, 1, 1)).days + number


@pytest.fixture
def shop():
    """Lines of one product at two locations: day, location, units, paid, kind."""
    rows = [
        (0, "x", 1.0, 2.0),
        (0, "x", 2.0, 8.0),
        (0, "x", 1.0, 9.0),
        (0, "y", 1.0, 5.0),
        (1, "x", 1.0, 4.0),
        (2, "x", 2.0, 6.0),
        (2, "x", -1.0, -9.0),
        (3, "x", 1.0, 0.0),
        (4, "x", 1.0, 1.0),
    ]
    orders = pl.DataFrame(rows, ["after", "location_id", "quantity", "revenue"], orient="row")
    orders = orders.select(
        (pl.lit(FIRST) + pl.duration(days="after")).alias("ts"),
        pl.int_range(pl.len()).cast(pl.String).alias("order_id"),
        pl.lit("p").alias("product_id"),
        pl.exclude("after"),
    )
    return Dataset.from_frames("shop", {"orders": orders})


def rows_of(frame) -> list[tuple]:
    return sorted(frame.collect().to_polars().rows())


def test_the_price_is_the_median_paid_per_product_location_and_day(shop):
    assert rows_of(paid_prices(shop, LOCATED, day(10))) == [
        ("p", "x", day(0), 4.0),
        ("p", "x", day(2), 3.0),
        ("p", "x", day(4), 1.0),
        ("p", "y", day(0), 5.0),
    ]


def test_lines_from_the_origin_on_are_not_read(shop):
    prices = rows_of(paid_prices(shop, LOCATED, day(2)))
    assert prices == [("p", "x", day(0), 4.0), ("p", "y", day(0), 5.0)]


def test_a_grain_without_locations_has_one_price_of_all(shop):
    prices = rows_of(paid_prices(shop, Grain.parse("product:day"), day(1)))
    assert prices == [("p", day(0), 4.5)]


def test_a_plan_of_prices_needs_no_table_of_prices(shop):
    row = {"product_id": "p", "from_date": f"{FIRST + timedelta(days=5):%Y-%m-%d}", "price": 2}
    plan = read_plan([row], FIRST + timedelta(days=5))
    planned = apply_plan(shop, plan, LOCATED, day(5))
    assert ("p", "x", day(5), 2.0) in rows_of(planned.table("prices"))
    bare = Dataset("bare", "bare", {"orders": shop.table("orders").drop("revenue")})
    with pytest.raises(MissingData, match="no table 'prices'"):
        apply_plan(bare, plan, LOCATED, day(5))
