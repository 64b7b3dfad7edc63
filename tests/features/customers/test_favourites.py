"""Favourite categories, channels and locations of customers."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.customers.favourites import favourites
from features.dataset import Dataset
from features.errors import MissingData

AS_OF = datetime(2017, 9, 4)
TODAY = to_day(AS_OF)


def favourites_of(dataset, as_of=AS_OF):
    return favourites(dataset, as_of).collect().to_polars().sort("customer_id")


def lines(*rows, **columns):
    """Return the lines of one customer: (days before AS_OF, product_id, channel)."""
    days = [TODAY - row[0] for row in rows]
    return pl.DataFrame(
        {
            "customer_id": "a",
            "order_id": [str(k) for k in range(len(rows))],
            "line": pl.Series([0] * len(rows), dtype=pl.Int32),
            "ts": [day_start(day) for day in days],
            "product_id": [row[1] for row in rows],
            "channel": [row[2] for row in rows],
            "quantity": 1.0,
            "kind": columns.get("kind", ["sale"] * len(rows)),
        }
    )


PRODUCTS = pl.DataFrame({"product_id": ["1", "2", "3"], "category": ["TEA", "TEA", "SOUP"]})


def row(orders, **frames):
    dataset = Dataset.from_frames("shop", {"orders": orders, **frames})
    return favourites_of(dataset).row(0, named=True)


def test_values_are_ranked_by_days_and_not_by_lines():
    orders = lines((9, "3", "web"), (9, "3", "web"), (8, "1", "shop"), (7, "2", "shop"))
    favourite = row(orders, products=PRODUCTS)
    assert (favourite["top_category_1"], favourite["top_category_2"]) == ("TEA", "SOUP")
    assert favourite["top_category_3"] is None
    assert favourite["favourite_channel"] == "shop"


def test_ties_are_ranked_by_name():
    favourite = row(lines((9, "3", "web"), (8, "1", "app")), products=PRODUCTS)
    assert favourite["top_category_1"] == "SOUP"
    assert favourite["favourite_channel"] == "app"


def test_returns_do_not_count():
    orders = lines(
        (9, "3", "web"), (8, "1", "app"), (7, "2", "app"), kind=["sale", "return", "return"]
    )
    assert row(orders, products=PRODUCTS)["top_category_1"] == "SOUP"


def test_without_a_catalogue_there_are_no_categories():
    favourite = row(lines((9, "3", "web")))
    assert "top_category_1" not in favourite
    assert (favourite["first_day"], favourite["last_day"]) == (TODAY - 9, TODAY - 9)


def test_orders_at_or_after_as_of_do_not_change_favourites(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    changed = pl.concat(
        [
            orders.filter(~future),
            orders.filter(future).with_columns(pl.lit("elsewhere").alias("location_id")),
            orders.filter(future).with_columns(pl.lit("someone").alias("customer_id")),
        ]
    )
    other = favourites_of(rewritten(journey, orders=changed))
    assert_frame_equal(other, favourites_of(journey), check_exact=True)


def test_a_dataset_without_customers_is_refused_by_column():
    orders = lines((9, "3", "web")).drop("customer_id")
    with pytest.raises(MissingData) as error:
        favourites(Dataset.from_frames("shop", {"orders": orders}), AS_OF)
    assert error.value.field == "orders.customer_id"
