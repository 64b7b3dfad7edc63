"""Instants and days: `as_of` values in, whole day counts out.

A day is an int32 count from 1970-01-01: arithmetic on integers is the same in every engine.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from features.errors import InvalidInput

EPOCH = date(1970, 1, 1)
# Fewer different days may be whole weeks apart by chance.
MIN_DAYS = 4
# Code for periods of a month: the length of the longest.
MONTH_DAYS = 31
# From 1 March of the year 0 to 1970: days, and months; and days of 400 years.
_DAYS_BEFORE_EPOCH, _MONTHS_BEFORE_EPOCH, _ERA_DAYS = 719_468, 12 * 1970 - 2, 146_097

AsOf = str | date | datetime


def parse_as_of(value: AsOf, *, field: str = "as_of") -> datetime:
    """Read an instant in the retailer's local time; a bare date means its first instant.

    Raises
    ------
    InvalidInput
        If `value` is not an ISO date or datetime, or carries a time zone.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidInput(
                f"{field} = {value!r} is not an ISO date such as 2017-12-01 "
                "or datetime such as 2017-12-01T09:30:00.",
                field=field,
            ) from error
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if value.tzinfo is not None:
        raise InvalidInput(
            f"{field} = {value.isoformat()!r} has a time zone; give the retailer's local time.",
            field=field,
        )
    return value


def to_day(value: AsOf) -> int:
    """Count the days from 1970-01-01 to the date of `value`."""
    return (parse_as_of(value).date() - EPOCH).days


def to_date(day: int) -> date:
    """Turn a day count back into a date."""
    return EPOCH + timedelta(days=int(day))


def day_start(day: int) -> datetime:
    """Return the first instant of a day."""
    return datetime.combine(to_date(day), time.min)


def step_days(days: Iterable[int]) -> int:
    """Infer from the recorded days how many days one record covers.

    Returns
    -------
    int
        7 if all days are whole weeks apart; MONTH_DAYS if all are the same day of the month, or
        the last day of a month; else 1. Also 1 if there are fewer than MIN_DAYS different days.
    """
    different = sorted(set(days))
    if len(different) < MIN_DAYS:
        return 1
    if all((day - different[0]) % 7 == 0 for day in different):
        return 7
    month_days = {to_date(day).day for day in different}
    last_days = all(to_date(day + 1).day == 1 for day in different)
    return MONTH_DAYS if last_days or len(month_days) == 1 else 1


def month_number(day: Any) -> Any:
    """Count the months from January 1970 to that of a day.

    Days are whole numbers: one, an array or an expression of any engine. Only integer arithmetic is
    used (Hinnant, "chrono-compatible low-level date algorithms"): years begin in March, so that the
    leap day is the last one.
    """
    shifted = day + _DAYS_BEFORE_EPOCH
    era = shifted // _ERA_DAYS
    of_era = shifted - era * _ERA_DAYS
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return (400 * era + year) * 12 + (5 * of_year + 2) // 153 - _MONTHS_BEFORE_EPOCH


def month_start(month: Any) -> Any:
    """Return the first day of the month with a number of `month_number`."""
    shifted = month + _MONTHS_BEFORE_EPOCH
    year = shifted // 12
    era = year // 400
    of_era = year - 400 * era
    of_year = (153 * (shifted - 12 * year) + 2) // 5
    days = 365 * of_era + of_era // 4 - of_era // 100 + of_year
    return era * _ERA_DAYS + days - _DAYS_BEFORE_EPOCH


def last_covered_day(day: Any, step: int) -> Any:
    """Return the last day that a record covers; `step` is a result of `step_days`."""
    return day + step - 1 if step != MONTH_DAYS else month_start(month_number(day) + 1) - 1


def covered_days(day: int, step: int) -> int:
    """Return the days that a record covers from `day` on; `step` is a result of `step_days`."""
    return int(last_covered_day(day, step)) - day + 1
