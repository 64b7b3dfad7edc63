from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.customers.usual_behaviour import BEFORE, PREFIX

AS_OF = datetime(2017, 9, 4)


@pytest.fixture
def row_of(one_customer):
    """Features of one customer with one line so many days before AS_OF, or what columns say."""

    def row_of(ages: list[int], **columns: list[float]) -> dict[str, float | None]:
        found = customers(one_customer(ages, **columns), AS_OF)
        return found.collect().to_polars().row(0, named=True)

    return row_of


def routine(row, prefix=PREFIX):
    return {name[len(prefix) :]: value for name, value in row.items() if name.startswith(prefix)}


def test_a_routine_is_of_all_visits_but_the_last(row_of):
    found = routine(row_of([5, 9, 16, 30]))
    assert (found["visits"], found["tenure"]) == (3, 21)
    assert (found["gap_mean"], found["gap_max"], found["gap_last"]) == (10.5, 14, 7)


@pytest.mark.parametrize("days", [1, 45, 400])
def test_silence_changes_nothing_in_a_routine(journey, rewritten, days):
    orders = journey.table("orders").to_native().collect()
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))

    def at(as_of):
        frame = customers(past, as_of).collect().to_polars().sort("customer_id")
        return frame.select("customer_id", pl.col(f"^{PREFIX}.*$"))

    assert_frame_equal(at(AS_OF + timedelta(days=days)), at(AS_OF), check_exact=True)


def test_a_visit_yesterday_leaves_what_the_routine_was_beside_what_it_is(row_of):
    money = {"revenue": [7.0, 10.0, 30.0, 20.0], "discount": [1.0, 0.0, 5.0, 0.0]}
    without = row_of([4, 9, 30], **{name: values[1:] for name, values in money.items()})
    came = row_of([1, 4, 9, 30], **money)
    assert routine(came, BEFORE) == routine(without)
    assert routine(came) != routine(without)


def test_who_bought_more_yesterday_has_the_same_routine(row_of):
    assert routine(row_of([1, 1, 1, 9, 30])) == routine(row_of([1, 9, 30]))


def test_whose_last_visit_is_days_ago_has_no_earlier_routine_and_who_came_once_has_none(row_of):
    assert set(routine(row_of([2, 9, 30]), BEFORE).values()) == {None}
    assert set(routine(row_of([2])).values()) == {None}


def test_money_in_a_routine_is_relative_to_the_customers_own(row_of):
    found = routine(row_of([1, 3, 9, 30], revenue=[99.0, 10.0, 2.0, 18.0]))
    assert found["spend_small"] == pytest.approx(1 / 3)
    assert found["spend_large"] == pytest.approx(1 / 3)
    assert found["spend_cv"] == pytest.approx((128 / 3) ** 0.5 / 10)
