"""Customer x product features and labels, checked against small written order lines."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions.builder import baskets, interactions, next_baskets

AS_OF = datetime(2017, 10, 9)
PAIR = ["customer_id", "product_id"]


def lines(*rows: tuple[str | None, str, str, str, float], **columns: list[object]) -> Dataset:
    """Order lines of (customer, order, product, instant, quantity)."""
    frame = pl.DataFrame(
        rows,
        schema=["customer_id", "order_id", "product_id", "ts", "quantity"],
        orient="row",
    ).with_columns(
        pl.col("ts").str.to_datetime(time_unit="us"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
    )
    frame = frame.with_columns(pl.Series(name, values) for name, values in columns.items())
    frame = frame.with_columns(pl.col("ts").dt.date().cast(pl.Int32).alias("day"))
    return Dataset.from_frames("shop", {"orders": frame})


def collected(frame) -> pl.DataFrame:
    rows = frame.collect().to_polars()
    return rows.sort([name for name in ("customer_id", "product_id", "kind") if name in rows])


@pytest.fixture
def shop() -> Dataset:
    return lines(
        ("a", "1", "milk", "2017-09-01T10:00", 1.0),
        ("a", "2", "milk", "2017-09-11T10:00", 2.0),
        ("a", "2", "bread", "2017-09-11T10:00", 1.0),
        ("a", "3", "milk", "2017-10-01T10:00", 1.0),
        ("a", "4", "tea", "2017-10-08T10:00", 1.0),
        ("b", "5", "milk", "2017-10-08T09:00", 1.0),
        (None, "6", "milk", "2017-10-08T09:00", 1.0),
        ("a", "7", "milk", "2017-10-09T00:00", 9.0),
    )


def test_a_pair_counts_baskets_units_and_windows(shop):
    milk = collected(interactions(shop, AS_OF)).row(
        by_predicate=(pl.col("customer_id") == "a") & (pl.col("product_id") == "milk"), named=True
    )
    assert (milk["baskets"], milk["lines"], milk["units"]) == (3.0, 3.0, 4.0)
    assert (milk["baskets_7d"], milk["baskets_28d"], milk["baskets_56d"]) == (0.0, 2.0, 3.0)
    assert (milk["baskets_last_1"], milk["baskets_last_3"]) == (0.0, 2.0)
    assert (milk["recency_days"], milk["first_days"], milk["recency_baskets"]) == (8.0, 38.0, 1.0)


def test_gaps_are_days_between_successive_purchases(shop):
    milk = (
        collected(interactions(shop, AS_OF))
        .filter(pl.col("product_id") == "milk")
        .row(0, named=True)
    )
    assert (milk["gap_mean"], milk["gap_sd"], milk["gap_last"]) == (15.0, 5.0, 20.0)


def test_a_single_purchase_has_no_gap(shop):
    tea = collected(interactions(shop, AS_OF)).filter(pl.col("product_id") == "tea")
    assert tea.select("gap_mean", "gap_sd", "gap_last").row(0) == (None, None, None)


def test_decay_halves_with_each_half_life(shop):
    milk = (
        collected(interactions(shop, AS_OF))
        .filter(pl.col("product_id") == "milk")
        .row(0, named=True)
    )
    assert milk["decay_14d"] == pytest.approx(sum(0.5 ** (age / 14) for age in (8, 28, 38)))
    assert milk["decay_basket"] == pytest.approx(0.95 + 0.95**2 + 0.95**3)


def test_anonymous_orders_are_left_out(shop):
    assert set(collected(interactions(shop, AS_OF))["customer_id"]) == {"a", "b"}


def test_returns_do_not_count_as_purchases():
    dataset = lines(
        ("a", "1", "milk", "2017-09-01T10:00", 1.0),
        ("a", "2", "bread", "2017-09-02T10:00", -1.0),
        kind=["sale", "return"],
    )
    assert collected(interactions(dataset, AS_OF))["product_id"].to_list() == ["milk"]


def test_a_log_without_locations_or_money_is_enough(shop):
    rows = collected(interactions(shop, AS_OF))
    assert "spend" not in rows.columns
    assert rows.height == 4


def test_baskets_are_numbered_from_the_last(shop):
    known = baskets(shop, AS_OF).collect().to_polars().filter(pl.col("customer_id") == "a")
    assert known.sort("baskets_ago")["order_id"].to_list() == ["4", "3", "2", "1"]


def test_the_next_basket_is_the_first_at_or_after_the_cutoff(shop):
    following = collected(next_baskets(shop, datetime(2017, 9, 11, 10), 28))
    assert following.filter("is_next").select(PAIR).rows() == [
        ("a", "bread"),
        ("a", "milk"),
        ("b", "milk"),
    ]
    assert following.filter(~pl.col("is_next")).select(PAIR).rows() == [("a", "tea")]


@pytest.mark.parametrize("change", ["added", "changed", "removed"])
def test_orders_at_or_after_as_of_do_not_change_any_bit(journey, rewritten, change):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    altered = {
        "added": pl.concat(
            [
                orders,
                orders.sample(2000, seed=1).with_columns(
                    pl.lit(AS_OF).cast(pl.Datetime("us")).alias("ts"),
                    pl.lit(to_day(AS_OF), pl.Int32).alias("day"),
                    (pl.col("order_id") + "x").alias("order_id"),
                ),
            ]
        ),
        "changed": orders.with_columns(
            pl.when(future).then(pl.lit("other")).otherwise("product_id").alias("product_id"),
            pl.when(future).then(7.3).otherwise("revenue").alias("revenue"),
        ),
        "removed": orders.filter(~future),
    }[change]
    # The order of stored lines must not matter either.
    other = rewritten(journey, orders=altered.sample(fraction=1.0, shuffle=True, seed=3))
    assert_frame_equal(
        collected(interactions(other, AS_OF)),
        collected(interactions(journey, AS_OF)),
        check_exact=True,
    )
