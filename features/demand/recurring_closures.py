"""Past closures of some places in, the closures that are expected to recur out.

A weekday recurs that was closed in all the last weeks but one. Days around a holiday recur if they
were closed without a break from the same holiday in the years before, other dates if they were
closed in two years.
"""

from functools import lru_cache

import numpy as np

from features.calendar import to_date, to_day
from features.public_holidays import public_holidays
from features.typing import Bools, Ints

# Why a day is expected to be closed.
WEEKDAY, YEAR = 2, 3
# Weeks of which a weekday was closed in all but one, after which it is always closed; the fewest.
WEEKS, MIN_WEEKS = 8, 4
# Days from a holiday within which a closure belongs to it.
_HOLIDAY_DAYS = 14


def recurring_closures(past: Bools, begun: Ints, first_day: int, count: int, calendar: str) -> Ints:
    """Return why places are expected to be closed on the days after the past.

    Parameters
    ----------
    past
        Whether a place was closed, shape (places, past days).
    begun
        Column of the first sale of each place.
    first_day
        Day of the first column.
    count
        Days after the past.
    calendar
        ISO code of the country or region whose public holidays count (`public_holidays`).

    Returns
    -------
    numpy.ndarray
        `WEEKDAY`, `YEAR` or 0 if the place is expected to be open, shape (places, count).
    """
    places, days = past.shape
    weeks = min(WEEKS, days // 7)
    recent = slice(days - 7 * weeks, days)
    number = past[:, recent].reshape(places, weeks, 7).sum(axis=1)
    recorded = (np.arange(days)[recent] >= begun[:, None]).reshape(places, weeks, 7).sum(axis=1)
    always = (number >= MIN_WEEKS) & (number >= recorded - 1)
    always &= ~always.all(axis=1, keepdims=True)
    reasons = np.where(always[:, np.arange(count) % 7], WEEKDAY, 0)
    regular = _regular(past)
    special = past & ~regular
    if not special.any():
        return reasons
    day = np.arange(days)
    start = np.maximum.accumulate(np.where(past, 0, day + 1), axis=1)
    end = np.minimum.accumulate(np.where(past, days - 1, day - 1)[:, ::-1], axis=1)[:, ::-1]
    # A Sunday in the midst of a longer closure is a part of it.
    until = np.pad(np.cumsum(special, axis=1), ((0, 0), (1, 0)))
    begins, ends = (np.take_along_axis(until, at, axis=1) for at in (start, end + 1))
    special |= past & (until[:, :-1] > begins) & (ends > until[:, 1:])
    regular &= ~special
    for step in range(count):
        for earlier in _earlier(first_day + days + step, calendar):
            votes, closed = np.zeros(places, dtype=np.int64), np.zeros(places, dtype=np.int64)
            for reference, holiday in earlier:
                column = reference - first_day
                if not 0 <= column < days:
                    continue
                shut = special[:, column]
                if holiday is not None:
                    at = holiday - first_day
                    shut = shut & (start[:, column] <= at) & (at <= end[:, column])
                votes += (column >= begun) & ~regular[:, column]
                closed += shut
            # A date without a holiday has to have been closed in two years.
            least = 2 if earlier[0][1] is None else 1
            expected = (closed >= least) & (closed == votes) & (reasons[:, step] == 0)
            reasons[expected, step] = YEAR
    return reasons


def _regular(closed: Bools) -> Bools:
    """Mark the closures of a weekday that was closed in most of the eight weeks around it."""
    days = closed.shape[1]
    number, weeks = np.zeros(closed.shape, dtype=np.int64), np.zeros(days, dtype=np.int64)
    for week in range(1, WEEKS // 2 + 1):
        shift = 7 * week
        number[:, shift:] += closed[:, :-shift]
        number[:, :-shift] += closed[:, shift:]
        weeks[shift:] += 1
        weeks[: max(days - shift, 0)] += 1
    sums = np.pad(np.cumsum(np.pad(closed, ((0, 0), (3, 3))), axis=1), ((0, 0), (1, 0)))
    whole_week: Bools = sums[:, 7:] - sums[:, :-7] == 7
    most: Bools = closed & (4 * number >= 3 * np.maximum(weeks, 1)) & ~whole_week
    return most


@lru_cache(maxsize=16_384)
def _earlier(day: int, calendar: str) -> list[list[tuple[int, int | None]]]:
    """Return the days of the two years before that correspond to a day.

    A list by correspondence, the same date and the same distance from each near holiday; a day and,
    of the latter, the day of that holiday.
    """
    date = to_date(day)
    found: list[list[tuple[int, int | None]]] = []
    if (date.month, date.day) != (2, 29):
        found.append([(to_day(date.replace(year=date.year - back)), None) for back in (1, 2)])
    for year in (date.year - 1, date.year, date.year + 1):
        for name, holiday in _holidays(calendar, year).items():
            if abs(day - holiday) > _HOLIDAY_DAYS:
                continue
            same = [_holidays(calendar, year - back).get(name) for back in (1, 2)]
            dates: list[tuple[int, int | None]] = [
                (then + day - holiday, then) for then in same if then is not None
            ]
            if dates:
                found.append(dates)
    return found


@lru_cache(maxsize=1024)
def _holidays(calendar: str, year: int) -> dict[str, int]:
    """Return the public holidays of a year by name."""
    return {
        name: to_day(date)
        for date, names in public_holidays(calendar, range(year, year + 1)).items()
        for name in names.split("; ")
    }
