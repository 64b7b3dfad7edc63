"""Instants, days and the periods of recorded days."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import parse_as_of, step_days, to_date, to_day
from features.errors import InvalidInput


def test_a_bare_date_means_its_first_instant():
    assert parse_as_of("2017-12-01") == datetime(2017, 12, 1)
    assert parse_as_of(date(2017, 12, 1)) == datetime(2017, 12, 1)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_a_day_count_converts_back_to_its_date(day):
    assert to_date(to_day(day)) == day


@pytest.mark.parametrize("value", ["2017-13-01", "yesterday", "", "2017-12-01T00:00:00+02:00"])
def test_an_invalid_instant_is_refused_with_its_field_and_value(value):
    with pytest.raises(InvalidInput, match="as_of") as caught:
        parse_as_of(value)
    assert caught.value.field == "as_of"


FIRSTS = [to_day(date(2023, month, 1)) for month in range(1, 7)]


@pytest.mark.parametrize(
    ("days", "step"),
    [
        ([0, 7, 14, 21], 7),
        ([3, 10, 31, 24, 10], 7),
        ([0, 7, 14, 15], 1),
        ([0, 7, 14], 1),
        ([], 1),
        (FIRSTS, 31),
        ([first - 1 for first in FIRSTS], 31),
        ([*FIRSTS, FIRSTS[0] + 3], 1),
    ],
)
def test_days_that_are_whole_weeks_or_months_apart_give_that_period(days, step):
    assert step_days(days) == step
