"""Customer x category features."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.customers.by_category import category_features
from features.dataset import Dataset
from features.errors import MissingData

AS_OF = datetime(2017, 9, 4)
TODAY = to_day(AS_OF)


def features_of(dataset, categories=None):
    frame = category_features(dataset, AS_OF, categories).collect().to_polars()
    return frame.sort("customer_id", "category")


def shop(purchases):
    """Return the lines of one customer at noon: (days before AS_OF, product)."""
    orders = pl.DataFrame(
        {
            "customer_id": ["a"] * len(purchases),
            "order_id": [str(k) for k in range(len(purchases))],
            "line": pl.Series([0] * len(purchases), dtype=pl.Int32),
            "ts": [day_start(TODAY - age).replace(hour=12) for age, _ in purchases],
            "day": pl.Series([TODAY - age for age, _ in purchases], dtype=pl.Int32),
            "product_id": [product for _, product in purchases],
            "quantity": [1.0] * len(purchases),
            "kind": ["sale"] * len(purchases),
        }
    )
    products = pl.DataFrame(
        {"product_id": ["m1", "m2", "b"], "category": ["MILK", "MILK", "BREAD"]}
    )
    return Dataset.from_frames("shop", {"orders": orders, "products": products})


def test_purchases_of_a_category_are_the_days_of_all_its_products():
    features = features_of(shop([(2, "m1"), (2, "m2"), (9, "m2"), (23, "m1"), (5, "b")]))
    assert features["category"].to_list() == ["BREAD", "MILK"]
    milk = features.row(1, named=True)
    assert (milk["purchases"], milk["recency"], milk["tenure"]) == (3, 2, 23)
    assert (milk["gap_mean"], milk["gap_median"], milk["gap_last"]) == (10.5, 10.5, 7)
    assert milk["lines_per_purchase"] == pytest.approx(4 / 3)
    assert features.row(0, named=True)["gap_mean"] is None


def test_orders_at_or_after_as_of_do_not_change_any_bit(journey, rewritten):
    names = ["FLUID MILK PRODUCTS", "BAKED BREAD/BUNS/ROLLS"]
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    more = orders.filter(future).with_columns(pl.lit("someone").alias("customer_id"))
    changed = orders.with_columns(
        pl.when(future).then(pl.lit("other")).otherwise("product_id").alias("product_id")
    )
    expected = features_of(journey, names)
    assert expected.height > 100
    for frame in (orders.filter(~future), pl.concat([orders, more]), changed):
        features = features_of(rewritten(journey, orders=frame), names)
        assert_frame_equal(features, expected, check_exact=True)


def test_a_catalogue_without_categories_is_refused_by_column(journey):
    orders = journey.table("orders").to_native()
    with pytest.raises(MissingData, match="category") as error:
        features_of(Dataset.from_frames("bare", {"orders": orders}))
    assert error.value.field == "products.category"
