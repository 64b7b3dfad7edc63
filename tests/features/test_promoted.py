"""Purchases under promotion, where customers buy, and since when products are sold: no leaks."""

from datetime import datetime

import narwhals as nw
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.interactions.builder import interactions
from features.interactions.locations import local_sales, usual_locations
from features.interactions.products import product_statistics
from features.interactions.promoted_purchases import placement_lifts, promoted_purchases

AS_OF = datetime(2017, 10, 9)


def collected(frame) -> pl.DataFrame:
    found = frame.collect().to_polars()
    return found.sort(found.columns[:2])


@pytest.fixture
def made() -> Dataset:
    rows = [
        ("a", "1", "milk", "2017-09-01", "north"),
        ("a", "2", "milk", "2017-09-11", "south"),
        ("b", "3", "milk", "2017-09-11", "north"),
        ("b", "4", "tea", "2017-09-20", "north"),
    ]
    orders = pl.DataFrame(
        rows, ["customer_id", "order_id", "product_id", "ts", "location_id"], orient="row"
    ).with_columns(
        pl.col("ts").str.to_datetime("%Y-%m-%d", time_unit="us"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
        pl.lit(1.0).alias("quantity"),
    )
    day = (datetime(2017, 9, 11) - datetime(1970, 1, 1)).days
    promotions = pl.DataFrame(
        {
            "product_id": ["milk", "tea"],
            "location_id": ["north", None],
            "kind": ["mailer", "display"],
            "placement": ["front", None],
            "from_day": [day, day],
            "to_day": [day + 7, day + 28],
        },
        schema_overrides={"from_day": pl.Int32, "to_day": pl.Int32},
    )
    return Dataset.from_frames("made", {"orders": orders, "promotions": promotions})


def test_a_purchase_is_promoted_at_its_own_place_and_day_only(made):
    found = promoted_purchases(made)
    assert found is not None
    marked = collected(found).select("order_id", "on_mailer", "on_display", "at_mailer")
    assert marked.rows() == [("3", 1, 0, "front"), ("4", 0, 1, None)]


def test_a_stretch_within_a_longer_one_does_not_end_it(made):
    # Tea, bought on the tenth day: in the leaflet for 30 days, on its front page for two.
    first = (datetime(2017, 9, 10) - datetime(1970, 1, 1)).days
    stretches = {
        "from_day": [first, first + 5, first + 8],
        "to_day": [first + 30, first + 7, first + 9],
        "placement": ["inside", "front", None],
    }
    types = {"from_day": pl.Int32, "to_day": pl.Int32}
    for order in ([0, 1, 2], [2, 0, 1]):
        plan = pl.DataFrame(stretches, schema_overrides=types)[order].with_columns(
            pl.lit("tea").alias("product_id"),
            pl.lit("north").alias("location_id"),
            pl.lit("mailer").alias("kind"),
        )
        tables = {"orders": made.tables["orders"], "promotions": nw.from_native(plan.lazy())}
        marked = collected(promoted_purchases(Dataset("made", "within", tables)))
        assert marked.select("order_id", "on_mailer", "at_mailer").rows() == [("4", 1, "inside")]


def test_pairs_count_the_baskets_under_each_kind(made):
    found = collected(interactions(made, AS_OF)).select("customer_id", "product_id", "on_mailer")
    assert found.rows() == [("a", "milk", 0.0), ("b", "milk", 1.0), ("b", "tea", 0.0)]


def test_without_promotions_there_are_no_marks(made):
    bare = Dataset("bare", "x", {"orders": made.tables["orders"]})
    assert promoted_purchases(bare) is None
    assert "on_mailer" not in collected(interactions(bare, AS_OF)).columns


def test_usual_places_weigh_the_last_basket_most(made):
    found = collected(usual_locations(made, AS_OF)).rows()
    assert found == [
        ("a", "north", pytest.approx(0.95)),
        ("a", "south", pytest.approx(1.0)),
        ("b", "north", pytest.approx(1.95)),
    ]


def test_local_sales_are_of_the_last_four_weeks(made):
    found = collected(local_sales(made, datetime(2017, 10, 1))).rows()
    assert found == [("north", "milk", 1), ("north", "tea", 1), ("south", "milk", 1)]


@pytest.mark.parametrize(
    "builder", [product_statistics, usual_locations, local_sales, interactions, placement_lifts]
)
def test_orders_at_or_after_as_of_change_nothing(journey, rewritten, builder):
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
    # The data's own code of the front page.
    assert lifts["D"] > 1.5
