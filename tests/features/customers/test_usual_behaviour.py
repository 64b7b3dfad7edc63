"""Usual behaviour: unchanged by inactivity and by the content of the last visit."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.customers.usual_behaviour import BEFORE, PREFIX

AS_OF = datetime(2017, 9, 4)


@pytest.fixture
def row_of(one_customer):
    """Return the features of a customer with lines so many days before AS_OF."""

    def row_of(ages: list[int], **columns: list[float]) -> dict[str, float | None]:
        features = customers(one_customer(ages, **columns), AS_OF)
        return features.collect().to_polars().row(0, named=True)

    return row_of


def usual(row, prefix=PREFIX):
    return {name[len(prefix) :]: value for name, value in row.items() if name.startswith(prefix)}


def test_usual_behaviour_is_of_all_visits_but_the_last(row_of):
    features = usual(row_of([5, 9, 16, 30]))
    assert (features["visits"], features["tenure"]) == (3, 21)
    assert (features["gap_mean"], features["gap_max"], features["gap_last"]) == (10.5, 14, 7)


@pytest.mark.parametrize("days", [1, 45, 400])
def test_inactivity_does_not_change_usual_behaviour(journey, rewritten, days):
    orders = journey.table("orders").to_native().collect()
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))

    def features_at(as_of):
        frame = customers(past, as_of).collect().to_polars().sort("customer_id")
        return frame.select("customer_id", pl.col(f"^{PREFIX}.*$"))

    assert_frame_equal(
        features_at(AS_OF + timedelta(days=days)), features_at(AS_OF), check_exact=True
    )


def test_after_a_visit_yesterday_the_behaviour_before_it_is_kept(row_of):
    money = {"revenue": [7.0, 10.0, 30.0, 20.0], "discount": [1.0, 0.0, 5.0, 0.0]}
    without = row_of([4, 9, 30], **{name: values[1:] for name, values in money.items()})
    with_visit = row_of([1, 4, 9, 30], **money)
    assert usual(with_visit, BEFORE) == usual(without)
    assert usual(with_visit) != usual(without)


def test_lines_of_the_last_visit_do_not_change_usual_behaviour(row_of):
    assert usual(row_of([1, 1, 1, 9, 30])) == usual(row_of([1, 9, 30]))


def test_behaviour_before_the_last_visit_needs_a_visit_yesterday(row_of):
    assert set(usual(row_of([2, 9, 30]), BEFORE).values()) == {None}
    assert set(usual(row_of([2])).values()) == {None}


def test_spend_is_relative_to_the_customers_mean(row_of):
    features = usual(row_of([1, 3, 9, 30], revenue=[99.0, 10.0, 2.0, 18.0]))
    assert features["spend_small"] == pytest.approx(1 / 3)
    assert features["spend_large"] == pytest.approx(1 / 3)
    assert features["spend_cv"] == pytest.approx((128 / 3) ** 0.5 / 10)
