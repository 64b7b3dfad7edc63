"""Instants and days: `as_of` values in, whole day counts out.

A day is an int32 count from 1970-01-01: arithmetic on integers is the same in every engine.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from features.errors import InvalidInput

EPOCH = date(1970, 1, 1)
# Fewer different days may be whole weeks apart by chance.
MIN_DAYS = 4
# Code for periods of a month: the length of the longest.
MONTH_DAYS = 31

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


def covered_days(day: int, step: int) -> int:
    """Return the days that a record covers from `day` on; `step` is a result of `step_days`."""
    if step != MONTH_DAYS:
        return step
    after = (to_date(day).replace(day=1) + timedelta(days=MONTH_DAYS)).replace(day=1)
    # A record dated by the last day of a month covers the month up to it.
    return max((after - to_date(day)).days, 1)
