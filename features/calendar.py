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
    """Return the days from one recorded day to the next: 7 where all are whole weeks apart, else 1.

    With fewer than four different days there is no telling, and the answer is 1.
    """
    different = sorted(set(days))
    if len(different) < ENOUGH_DAYS:
        return 1
    return 7 if all((day - different[0]) % 7 == 0 for day in different) else 1
