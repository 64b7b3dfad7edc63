"""Grains: parsing, keys and periods."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import to_date, to_day
from features.demand.grain import Grain
from features.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    ["product:week", "product,location:day", "category,location:week", "location:day"],
)
def test_a_grain_equals_its_text(text):
    assert str(Grain.parse(text)) == text


def test_product_and_location_stand_for_their_ids():
    assert Grain.parse("product,location:day").keys == ("product_id", "location_id")


@pytest.mark.parametrize(
    "text", ["product", "product:year", "colour:week", ":week", "product,product:day", ""]
)
def test_an_invalid_grain_is_refused_with_the_allowed_keys_and_periods(text):
    with pytest.raises(InvalidInput, match=r"subcategory.*day, week, month") as caught:
        Grain.parse(text)
    assert caught.value.field == "grain"


@pytest.mark.parametrize("days", [0, -7, 10])
def test_a_horizon_is_a_positive_number_of_whole_periods(days):
    with pytest.raises(InvalidInput, match="multiple of 7") as caught:
        Grain.parse("product:week").periods(days)
    assert caught.value.field == "horizon"


def test_a_horizon_is_counted_in_days():
    assert Grain.parse("product:week").periods(56) == 8


def test_months_are_those_of_the_calendar():
    grain, day = Grain.parse("product:month"), to_day("2024-01-01")
    assert grain.lengths(day, np.arange(-1, 3)).tolist() == [31, 31, 29, 31]
    assert to_date(grain.shift(day, -11)) == date(2023, 2, 1)
    assert to_date(grain.shift(to_day("2023-12-15"), 3)) == date(2024, 3, 15)


def test_a_period_of_a_month_begins_on_a_day_that_every_month_has():
    with pytest.raises(InvalidInput, match=r"as_of = 2024-01-29 .* up to the 28th") as caught:
        Grain.parse("product:month").shift(to_day("2024-01-29"), 1)
    assert caught.value.field == "as_of"


@given(
    day=st.integers(-100_000, 100_000),
    phase=st.integers(0, 27),
    freq=st.sampled_from(["day", "week", "month"]),
)
def test_a_day_lies_in_the_period_with_its_number(day, phase, freq):
    grain = Grain(("product_id",), freq)
    phase %= grain.days
    number = grain.number(day, phase)
    assert grain.start(number, phase) <= day < grain.start(number + 1, phase)
    assert grain.phase(grain.start(number, phase)) == phase


@pytest.mark.parametrize(("days", "months"), [(28, 1), (31, 1), (92, 3), (365, 12), (364, 12)])
def test_a_horizon_of_days_counts_whole_months(days, months):
    assert Grain.parse("product:month").periods(days) == months
    with pytest.raises(InvalidInput, match="whole months"):
        Grain.parse("product:month").periods(days + 10)
