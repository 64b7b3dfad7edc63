"""Customer features: leakage, invariance, and values of customers whose visits are known."""

import math
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.customers.builder import customer_days, customers, typical_spend_units
from features.dataset import Dataset
from features.errors import MissingData

AS_OF = datetime(2017, 9, 4)


def features_of(dataset, as_of=AS_OF):
    return customers(dataset, as_of).collect().to_polars().sort("customer_id")


def row(dataset, as_of=AS_OF):
    return features_of(dataset, as_of).row(0, named=True)


def test_every_customer_with_a_purchase_has_one_row(journey, orders):
    known = orders.filter(pl.col("ts") < AS_OF).get_column("customer_id").unique().sort()
    assert features_of(journey).get_column("customer_id").equals(known)


def test_orders_at_or_after_as_of_do_not_change_any_bit(journey, orders, rewritten):
    expected = features_of(journey)
    future = pl.col("ts") >= AS_OF
    removed = orders.filter(~future)
    changed = orders.with_columns(
        pl.when(future).then(pl.col("revenue") * 7 + 1).otherwise("revenue").alias("revenue"),
        pl.when(future).then(pl.lit("other")).otherwise("product_id").alias("product_id"),
    )
    added = pl.concat(
        [orders, orders.filter(future).with_columns(pl.lit("someone").alias("customer_id"))]
    )
    for frame in (removed, changed, added):
        other = features_of(rewritten(journey, orders=frame))
        assert_frame_equal(other, expected, check_exact=True)


def test_the_order_of_lines_does_not_change_any_bit(journey, orders, rewritten):
    shuffled = orders.sample(fraction=1.0, shuffle=True, seed=3)
    other = features_of(rewritten(journey, orders=shuffled))
    assert_frame_equal(other, features_of(journey), check_exact=True)


def test_touchpoints_at_or_after_as_of_do_not_change_any_bit(journey, rewritten):
    touchpoints = journey.table("touchpoints").to_native().collect()
    known = rewritten(journey, touchpoints=touchpoints.filter(pl.col("ts") < AS_OF))
    assert_frame_equal(features_of(known), features_of(journey), check_exact=True)


def test_doubling_all_money_does_not_change_any_bit(journey, orders, rewritten):
    doubled = orders.with_columns(pl.col("revenue", "discount") * 2)
    other = features_of(rewritten(journey, orders=doubled))
    assert_frame_equal(other, features_of(journey), check_exact=True)


def test_pandas_and_polars_give_the_same_features(journey, orders):
    some = orders.filter(pl.col("customer_id").hash() % 20 == 0)
    products = journey.table("products").to_native().collect()
    frames = {"orders": some, "products": products}
    of_pandas = Dataset.from_frames("p", {k: v.to_pandas() for k, v in frames.items()})
    expected = features_of(Dataset.from_frames("p", frames))
    assert_frame_equal(features_of(of_pandas), expected, check_dtypes=False, abs_tol=1e-9)


def test_lines_of_the_day_of_as_of_are_read_up_to_its_time(one_customer):
    dataset = one_customer([0, 10])
    assert row(dataset, AS_OF.replace(hour=11))["visits"] == 1
    assert row(dataset, AS_OF.replace(hour=13))["visits"] == 2
    assert row(dataset, AS_OF.replace(hour=13))["recency"] == 0


def test_customer_and_date_are_enough_for_features(one_customer):
    features = row(one_customer([3, 10, 24]))
    assert (features["recency"], features["tenure"], features["visits"]) == (3, 24, 3)
    assert (features["visits_7"], features["visits_14"], features["visits_28"]) == (1, 2, 3)
    assert "spend_per_visit" not in features
    assert "products" not in features


def test_gaps_are_those_between_days_with_a_purchase(one_customer):
    features = row(one_customer([3, 3, 10, 24]))
    assert features["visits"] == 3
    assert (features["gap_mean"], features["gap_median"], features["gap_last"]) == (10.5, 10.5, 7)
    assert features["gap_sd"] == pytest.approx(3.5)
    assert features["gaps_longer"] == 1.0
    assert features["recency_over_gap_mean"] == pytest.approx(3 / 10.5)


def test_longer_inactivity_is_estimated_from_past_gaps_that_lasted_as_long(one_customer):
    features = row(one_customer([3, 10, 24]))  # gaps of 14 and 7 days, inactive for 3
    assert features["inactive_7_more"] == pytest.approx((1 + 0.5) / (2 + 1))
    assert features["inactive_14_more"] == pytest.approx((0 + 0.5) / (2 + 1))


def test_a_customer_with_one_visit_has_no_gap_features(one_customer):
    features = row(one_customer([40]))
    assert features["gap_mean"] is None
    assert features["recency_over_gap_q90"] is None
    assert features["visits_56"] == 1


def test_returns_count_in_the_return_share_and_not_as_visits(one_customer):
    features = row(one_customer([3, 10, 24], kind=["return", "sale", "sale"]))
    assert (features["visits"], features["recency"]) == (1, 24)
    assert features["return_share"] == pytest.approx(1 / 3)


def test_money_is_relative_to_the_median_spend_of_a_visit(one_customer):
    features = row(one_customer([3, 10, 24], revenue=[10.0, 20.0, 60.0]))
    assert features["spend_per_visit"] == pytest.approx(30 / 20)


def test_visits_without_spend_do_not_change_the_unit_of_money(one_customer):
    """Most visits may be without spend: redeemed points, samples, services of a subscription."""
    free = one_customer([3, 5, 7, 10, 24], revenue=[0.0, 0.0, 0.0, 20.0, 60.0])
    assert row(free)["spend_total"] == pytest.approx(80 / 40)
    assert typical_spend_units(customer_days(free, AS_OF)) == 400_000
    nothing = one_customer([3, 5], revenue=[0.0, 0.0])
    assert row(nothing)["spend_total"] == 0
    assert typical_spend_units(customer_days(nothing, AS_OF)) == 0


def test_anonymous_lines_belong_to_no_customer(one_customer):
    dataset = one_customer([3, 10], customer_id=["a", None])
    assert row(dataset)["visits"] == 1


def test_a_dataset_without_customers_is_refused_by_column(one_customer):
    orders = one_customer([3]).table("orders").drop("customer_id")
    with pytest.raises(MissingData, match="customer_id") as error:
        customers(Dataset("shop", "s", {"orders": orders}), AS_OF)
    assert error.value.field == "orders.customer_id"


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 400), min_size=1, max_size=30))
def test_decayed_visits_are_the_sum_of_halved_weights(one_customer, ages):
    features = row(one_customer(sorted(ages)))
    for half_life in (7, 112):
        expected = math.fsum(0.5 ** (age / half_life) for age in ages)
        assert features[f"visits_decayed_{half_life}"] == pytest.approx(expected, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 400), min_size=1, max_size=30))
def test_weekday_shares_add_up_to_one(one_customer, ages):
    features = row(one_customer(sorted(ages)))
    assert sum(features[f"weekday_share_{k}"] for k in range(7)) == pytest.approx(1)
