"""Days of the year before, by weekday and by holiday."""

from datetime import date

import numpy as np
import pytest

from features.calendar import to_date, to_day
from features.demand.year_before import year_before


def before(day: str, country: str = "US") -> date:
    return to_date(int(year_before(np.array([to_day(day)]), country)[0]))


def test_an_ordinary_day_follows_the_same_weekday():
    assert before("2016-08-10") == date(2015, 8, 12)


@pytest.mark.parametrize(
    ("day", "then"),
    [
        ("2016-03-27", date(2015, 4, 5)),  # Easter Sunday
        ("2016-03-24", date(2015, 4, 2)),  # three days before it
        ("2013-11-28", date(2012, 11, 22)),  # Thanksgiving
        ("2016-12-24", date(2015, 12, 24)),
        ("2017-01-01", date(2016, 1, 1)),
    ],
)
def test_days_near_a_holiday_follow_the_holiday(day, then):
    assert before(day) == then


def test_a_day_at_which_a_moved_holiday_was_follows_another_week():
    # Easter 2015 was on April 5th and 6th, which are no holidays a year later.
    for day in ("2016-04-02", "2016-04-03", "2016-04-04"):
        then = before(day, "DE")
        assert then.isoweekday() == date.fromisoformat(day).isoweekday()
        assert not date(2015, 3, 27) <= then <= date(2015, 4, 9)


def test_holidays_by_the_moon_move_between_months():
    # Ramadan Feast: 2018-06-15 and 2017-06-25.
    assert before("2018-06-15", "TR") == date(2017, 6, 25)


def test_days_depend_on_no_other_days():
    days = np.arange(to_day("2015-06-01"), to_day("2017-06-01"))
    alone = [int(year_before(np.array([day]), "DE")[0]) for day in days[::50]]
    assert year_before(days, "DE")[::50].tolist() == alone
