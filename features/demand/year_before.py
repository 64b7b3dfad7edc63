"""Days in; the days a year before to which they correspond, by weekday and by holiday, out.

Sales follow weekdays, so a day corresponds to that 364 days before. Near a holiday they follow the
holiday: Easter to the Easter before, three days before Thanksgiving to three days before it.
"""

from bisect import bisect_right
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from features.calendar import to_date, to_day
from features.demand.calendar_features import named_holidays
from features.typing import Ints

YEAR_DAYS = 364
# Days before and after a holiday on which sales follow it rather than the weekday.
_BEFORE, _AFTER = 7, 3
# Dates of one holiday in successive years are at most so many days more or less than a year apart:
# Easter moves by up to five weeks.
_MOVES_DAYS = 36
# A holiday that moved by no more than this against the weekdays does not displace other days.
_SMALL_MOVE_DAYS = 3
# Weeks by which a day evades the neighbourhood of a holiday that moved away.
_EVASIONS = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6)


def year_before(days: Ints, country: str) -> Ints:
    """Return the day of the previous year to which each day corresponds.

    A day from seven before a holiday to three after it corresponds to the same distance from that
    holiday a year before. Any other day corresponds to that 364 days before, or, if that day is
    near a holiday which moved, to the nearest same weekday that is not.

    Parameters
    ----------
    days
        Day numbers.
    country
        ISO code of the country whose holidays apply.
    """
    years = [to_date(int(day)).year for day in (days.min(), days.max())]
    first = to_day(date(years[0], 1, 1))
    table = np.concatenate([_year_map(country, year) for year in range(years[0], years[1] + 1)])
    mapped: Ints = table[days - first]
    return mapped


@lru_cache(maxsize=256)
def _year_map(country: str, year: int) -> Ints:
    """Map each day of a calendar year."""
    named = {
        day: name
        for number in range(year - 2, year + 2)
        for day, name in named_holidays(country, number)
    }
    known = sorted(named)
    by_name: dict[str, list[int]] = {}
    for day in known:
        by_name.setdefault(named[day], []).append(day)

    def counterpart(holiday: int, direction: int) -> int | None:
        """Return the date of the same holiday a year before (-1) or after (1)."""
        expected = holiday + direction * YEAR_DAYS
        others = [day for day in by_name[named[holiday]] if abs(day - expected) <= _MOVES_DAYS]
        return min(others, key=lambda day: abs(day - expected)) if others else None

    def governing(day: int) -> int | None:
        position = bisect_right(known, day - 1)
        if position < len(known) and known[position] - day <= _BEFORE:
            return known[position]
        return known[position - 1] if position and day - known[position - 1] <= _AFTER else None

    def moved(day: int) -> bool:
        """Return whether a day is near a holiday that is not near the same day a year later."""
        holiday = governing(day)
        if holiday is None:
            return False
        after = counterpart(holiday, 1)
        return after is not None and abs(after - holiday - YEAR_DAYS) > _SMALL_MOVE_DAYS

    def corresponding(day: int) -> int:
        holiday = governing(day)
        before = None if holiday is None else counterpart(holiday, -1)
        if holiday is not None and before is not None:
            return before + day - holiday
        candidates = [day - YEAR_DAYS + 7 * weeks for weeks in _EVASIONS]
        return next((c for c in candidates if not moved(c)), day - YEAR_DAYS)

    length = (date(year + 1, 1, 1) - date(year, 1, 1)) // timedelta(days=1)
    first = to_day(date(year, 1, 1))
    return np.array([corresponding(first + k) for k in range(length)], dtype=np.int64)
