from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import parse_as_of, to_date, to_day
from features.errors import InvalidInput


def test_a_bare_date_means_its_first_instant():
    assert parse_as_of("2017-12-01") == datetime(2017, 12, 1)
    assert parse_as_of(date(2017, 12, 1)) == datetime(2017, 12, 1)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_a_day_count_and_its_date_are_one_thing(day):
    assert to_date(to_day(day)) == day


@pytest.mark.parametrize("value", ["2017-13-01", "yesterday", "", "2017-12-01T00:00:00+02:00"])
def test_a_bad_instant_is_refused_with_its_field_and_value(value):
    with pytest.raises(InvalidInput, match="as_of") as caught:
        parse_as_of(value)
    assert caught.value.field == "as_of"
