"""Instants and days: `as_of` values in, integer day counts out; used by every builder.

Days are int32 counts since 1970-01-01, because arithmetic on integers is the same in
every engine.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from features.errors import InvalidInput

EPOCH = date(1970, 1, 1)
# Fewer days than this may lie weeks apart by chance.
ENOUGH_DAYS = 4
# What stands for a month, which is no number of days: the longest.
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
    """Return the days that one record covers, as far as the recorded days tell.

    Returns
    -------
    int
        7 where all days are whole weeks apart, MONTH_DAYS where all are the same day of their
        months or all the last one, else 1. With fewer than four different days there is no
        telling, and the answer is 1.
    """
    different = sorted(set(days))
    if len(different) < ENOUGH_DAYS:
        return 1
    if all((day - different[0]) % 7 == 0 for day in different):
        return 7
    of_month = {to_date(day).day for day in different}
    ends = all(to_date(day + 1).day == 1 for day in different)
    return MONTH_DAYS if ends or len(of_month) == 1 else 1


def covered_days(day: int, step: int) -> int:
    """Count the days that a record covers from `day` on, a month where `step` says so."""
    if step != MONTH_DAYS:
        return step
    after = (to_date(day).replace(day=1) + timedelta(days=MONTH_DAYS)).replace(day=1)
    # A month that is dated by its last day has ended with it.
    return max((after - to_date(day)).days, 1)
