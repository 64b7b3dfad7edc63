"""Calendar features: days in; weekday, week of the year and distance to holidays out."""

from bisect import bisect_left
from functools import lru_cache

import polars as pl

from features.calendar import to_date, to_day
from features.public_holidays import public_holidays

# Distances to holidays are capped here: shoppers do not react to a more distant holiday.
FAR_DAYS = 30


@lru_cache(maxsize=1024)
def _holidays(country: str, year: int) -> tuple[int, ...]:
    """Return the days of the public holidays of a year and of those beside it."""
    dates = public_holidays(country, range(year - 1, year + 2))
    return tuple(sorted(to_day(day) for day in dates))


@lru_cache(maxsize=1024)
def named_holidays(country: str, year: int) -> tuple[tuple[int, str], ...]:
    """Return day and name of the holidays of a year that move sales, sorted by day.

    Public holidays, and the unofficial ones that are known of a country, such as Easter Sunday and
    Mother's Day in the US.
    """
    named: dict[int, str] = {}
    for category in ("unofficial", "public"):
        known = public_holidays(country, range(year, year + 1), category, "en_US")
        # The library estimates some dates of holidays by the moon, and adds that to their names.
        named |= {
            to_day(day): name.removesuffix(" (estimated)")
            for day, name in known.items()
            if day.year == year
        }
    return tuple(sorted(named.items()))


def season(days: list[int], length: int, country: str) -> pl.DataFrame:
    """Compute the calendar features of periods.

    Parameters
    ----------
    days
        First day of each period.
    length
        Days in a period.
    country
        ISO code of the country or region whose public holidays apply (`public_holidays`).

    Returns
    -------
    polars.DataFrame
        One row per period: `day`, `weekday` (1 is Monday), `month_day`, `month_week` (0 is the
        first seven days of the month), `week` (ISO) and `month` of its middle, `to_holiday` (days
        from the period's first day to the next holiday, at most 30; a value below `length` is a
        holiday within the period) and `since_holiday` (days since the last holiday before it, at
        most 30).

    Raises
    ------
    InvalidInput
        If the country has no known holidays, or no such region.
    """
    rows = []
    for day in days:
        date = to_date(day)
        known = _holidays(country, date.year)
        position = bisect_left(known, day)
        ahead = known[position] - day if position < len(known) else FAR_DAYS
        behind = day - known[position - 1] if position else FAR_DAYS
        middle = to_date(day + length // 2)
        rows.append(
            (
                day,
                date.isoweekday(),
                date.day,
                (date.day - 1) // 7,
                middle.isocalendar().week,
                middle.month,
                min(ahead, FAR_DAYS),
                min(behind, FAR_DAYS),
            )
        )
    names = [
        "day",
        "weekday",
        "month_day",
        "month_week",
        "week",
        "month",
        "to_holiday",
        "since_holiday",
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int32), orient="row")
