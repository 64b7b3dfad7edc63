"""Features of the calendar."""

import pytest

from features.calendar import to_day
from features.demand.calendar_features import season
from features.errors import InvalidInput

DAY = 17_000


def test_distance_to_the_next_holiday_is_counted_from_the_first_day_of_the_period():
    christmas = to_day("2017-12-25")
    frame = season([christmas - 3, christmas, christmas + 1], 7, "US")
    assert frame["to_holiday"].to_list() == [3, 0, 6]
    assert frame["since_holiday"].to_list()[2] == 1


def test_a_country_without_known_holidays_is_refused():
    with pytest.raises(InvalidInput, match="'XX'") as caught:
        season([DAY], 7, "XX")
    assert caught.value.field == "country"
