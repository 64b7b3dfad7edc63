"""Purchases under promotion, the lift of placements, and leakage of all interaction features."""

from datetime import datetime

import narwhals as nw
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.interactions.builder import interactions
from features.interactions.locations import usual_locations
from features.interactions.products import product_statistics
from features.interactions.promoted_purchases import placement_lifts, promoted_purchases

AS_OF = datetime(2017, 10, 9)


def collected(frame) -> pl.DataFrame:
    rows = frame.collect().to_polars()
    return rows.sort(rows.columns[:2])


def test_a_purchase_is_promoted_at_its_location_and_day_only(promoted_shop):
    purchases = promoted_purchases(promoted_shop)
    assert purchases is not None
    marked = collected(purchases).select("order_id", "on_mailer", "on_display", "at_mailer")
    assert marked.rows() == [("3", 1, 0, "front"), ("4", 0, 1, None)]


def test_a_promotion_within_a_longer_one_does_not_end_it(promoted_shop):
    # Tea, bought on the tenth day: in the leaflet for 30 days, on its front page for two.
    first = (datetime(2017, 9, 10) - datetime(1970, 1, 1)).days
    promotions = {
        "from_day": [first, first + 5, first + 8],
        "to_day": [first + 30, first + 7, first + 9],
        "placement": ["inside", "front", None],
    }
    types = {"from_day": pl.Int32, "to_day": pl.Int32}
    for order in ([0, 1, 2], [2, 0, 1]):
        plan = pl.DataFrame(promotions, schema_overrides=types)[order].with_columns(
            pl.lit("tea").alias("product_id"),
            pl.lit("north").alias("location_id"),
            pl.lit("mailer").alias("kind"),
        )
        tables = {
            "orders": promoted_shop.tables["orders"],
            "promotions": nw.from_native(plan.lazy()),
        }
        marked = collected(promoted_purchases(Dataset("shop", "within", tables)))
        assert marked.select("order_id", "on_mailer", "at_mailer").rows() == [("4", 1, "inside")]


def test_pairs_count_the_baskets_under_each_kind(promoted_shop):
    pairs = collected(interactions(promoted_shop, AS_OF))
    assert pairs.select("customer_id", "product_id", "on_mailer").rows() == [
        ("a", "milk", 0.0),
        ("b", "milk", 1.0),
        ("b", "tea", 0.0),
    ]


def test_without_promotions_no_purchase_is_marked(promoted_shop):
    unpromoted = Dataset("shop", "unpromoted", {"orders": promoted_shop.tables["orders"]})
    assert promoted_purchases(unpromoted) is None
    assert "on_mailer" not in collected(interactions(unpromoted, AS_OF)).columns


@pytest.mark.parametrize(
    "builder", [product_statistics, usual_locations, interactions, placement_lifts]
)
def test_orders_at_or_after_as_of_do_not_change_features(journey, rewritten, builder):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    moved = orders.with_columns(
        pl.when(future).then(pl.lit("1")).otherwise("location_id").alias("location_id"),
        pl.when(future).then(pl.lit("other")).otherwise("product_id").alias("product_id"),
    )
    again = collected(builder(rewritten(journey, orders=moved), AS_OF))
    assert_frame_equal(again, collected(builder(journey, AS_OF)), check_exact=True)


def test_products_on_the_front_page_sell_more_than_without_promotion(journey):
    lifts = dict(
        placement_lifts(journey, datetime(2017, 12, 4))
        .collect()
        .to_polars()
        .filter(pl.col("kind") == "mailer")
        .select("placement", "lift")
        .iter_rows()
    )
    # "D" is the data set's code of the front page.
    assert lifts["D"] > 1.5
