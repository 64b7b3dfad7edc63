"""Raw columns of any type in; canonical ids, numbers, instants and flags out.

What cannot be read becomes null, which the rules of `mapped` turn into a reason. Columns are
read eagerly, a batch at a time: the plain way first, and only what it leaves with more care.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial

import polars as pl

from features.calendar import to_day
from features.errors import InvalidInput
from features.tables import ID, TS

# What exports write where there is no value. An id may be any of the last three.
_NOTHING = ["", "NULL", "null", "NaN", "nan", "None", "\\N"]
NO_NUMBER = [*_NOTHING, "NA", "N/A", "-"]
_TRUE = ["true", "yes", "y", "t", "1", "1.0"]
_FALSE = ["false", "no", "n", "f", "0", "0.0"]
_ISO = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
]
_ISO_ZONED = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"]
_TIME_PARTS = ("%H", "%I", "%T", "%R", "%c", "%X", "%r")
EPOCH = "%s"
_MILLISECONDS_FROM = 1e11  # in seconds that is the year 5138


def text(values: pl.Series, nothing: Sequence[str] = _NOTHING) -> pl.Series:
    """Return a column as text without surrounding blanks, null where nothing is written."""
    stripped = values.cast(pl.String).str.strip_chars()
    empty = stripped.is_in(nothing)
    return stripped.set(empty, None) if empty.any() else stripped


def written(values: pl.Series) -> pl.Series:
    """Whether a row holds something that a number or an instant could be read from."""
    return text(values, NO_NUMBER).is_not_null()


def identity(values: pl.Series) -> pl.Series:
    """Read an id; whole numbers that were stored or written as fractions lose the `.0`."""
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        return whole.cast(ID).zip_with(whole.cast(values.dtype) == values, values.cast(ID))
    found = text(values)
    if values.dtype == pl.String and found.str.ends_with(".0").any():
        return found.str.replace(r"^(\d+)\.0$", "$1")
    return found


def number(values: pl.Series, decimal: str) -> pl.Series:
    """Read a number; marks between thousands are allowed where they stand in their places."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).fill_nan(None)
    if values.dtype == pl.Boolean:
        return values.cast(pl.Float64)
    if values.dtype != pl.String:
        return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
    found = values.cast(pl.Float64, strict=False)
    if decimal != "." or found.null_count() > values.null_count():
        # What has a comma is left by the cast; what has a point may stand for thousands.
        left = found.is_null() if decimal == "." else values.str.contains(r"[., '\u00a0]")
        left = (left | found.is_null()) & values.is_not_null()
        if left.any():
            careful = _number_as_people_write(values.filter(left), decimal)
            found = found.scatter(left.arg_true(), careful)
    finite = found.is_finite()
    return found if finite.all() else found.set(~finite, None)


def _number_as_people_write(values: pl.Series, decimal: str) -> pl.Series:
    thousands = "," if decimal == "." else "."
    raw = text(values, NO_NUMBER).str.strip_chars("€$£¥ \u00a0")
    groups = rf"^([+-]?\d{{1,3}})([{thousands} '\u00a0\u202f]\d{{3}})+([{decimal}]\d*)?$"
    bare = raw.str.replace_all(rf"[{thousands} '\u00a0\u202f]", "")
    plain = bare.zip_with(raw.str.contains(groups), raw)
    if decimal == ",":
        # A point that parts no thousands is not a number where the comma is the decimal mark.
        pointed = plain.str.contains(".", literal=True)
        plain = plain.str.replace(",", ".", literal=True).set(pointed, None)
    return plain.cast(pl.Float64, strict=False)


def flag(values: pl.Series) -> pl.Series:
    """Read a yes or a no."""
    if values.dtype == pl.Boolean:
        return values
    word = text(values).str.to_lowercase()
    nothing = pl.Series(values.name, [None], dtype=pl.Boolean)
    return word.is_in(_TRUE).zip_with(word.is_in([*_TRUE, *_FALSE]), nothing)


def instant(
    values: pl.Series, date_format: str | None, zone: str | None, local: str | None
) -> pl.Series:
    """Read an instant and state it in the retailer's local time.

    Parameters
    ----------
    date_format
        Of text and whole numbers; ISO where it is None. `%s` counts seconds or milliseconds
        since 1970 in universal time; weeks (`%G-W%V`) and months (`%Y-%m`) are their first day.
    zone
        In which instants without a zone of their own are stated; local time where it is None.
    local
        The retailer's time zone.

    Raises
    ------
    InvalidInput
        If instants carry a zone and the retailer's is not given.
    """
    dtype = values.dtype
    if dtype == pl.Date:
        return values.cast(TS)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            return _localised(values.cast(pl.Datetime("us", dtype.time_zone)), local)
        return _moved(values.cast(TS), zone, local)
    if date_format == EPOCH:
        since = number(values, ".")
        seconds = (since / 1000).zip_with(since.abs() >= _MILLISECONDS_FROM, since)
        micros = (seconds * 1e6).cast(pl.Int64, strict=False).cast(TS)
        return _localised(micros.dt.replace_time_zone("UTC"), local)
    raw = values if dtype == pl.String else text(values, NO_NUMBER)
    if date_format is not None and "%z" in date_format:
        return _localised(_zoned(date_format, text(raw, NO_NUMBER)), local)
    formats = _ISO if date_format is None else [date_format]
    if len(formats) > 1:
        # Most of a file is written in one way: that is tried first.
        head = raw.head(64)
        formats = sorted(formats, key=lambda layout: _naive(layout, head).null_count())
    naive = _first_of((partial(_naive, layout) for layout in formats), raw)
    if naive.null_count() > raw.null_count():
        stripped = text(raw, NO_NUMBER)
        naive = _first_of((partial(_naive, layout) for layout in formats), stripped)
    found = _moved(naive, zone, local)
    if date_format is None and local is not None and found.null_count() > raw.null_count():
        left = found.is_null() & raw.is_not_null()
        rest = text(raw.filter(left), NO_NUMBER)
        zoned = _first_of((partial(_zoned, layout) for layout in _ISO_ZONED), rest)
        found = found.scatter(left.arg_true(), _localised(zoned, local))
    return found


def _first_of(ways: Iterable[Callable[[pl.Series], pl.Series]], values: pl.Series) -> pl.Series:
    """Read values in the first way, what that leaves in the next, and so on."""
    first, *others = ways
    found = first(values)
    for way in others:
        left = found.is_null() & values.is_not_null()
        if not left.any():
            break
        found = found.scatter(left.arg_true(), way(values.filter(left)))
    return found


def weeks(values: pl.Series, first_week: date) -> pl.Series:
    """Read numbers of weeks as the first day of each.

    Parameters
    ----------
    first_week
        The first day of week 1.
    """
    days = ((number(values, ".") - 1) * 7).floor().cast(pl.Int32, strict=False)
    return (days + to_day(first_week)).cast(pl.Date).cast(TS)


def _naive(layout: str, values: pl.Series) -> pl.Series:
    # A week or a month stands for its first day.
    if ("%V" in layout or "%W" in layout) and "%u" not in layout:
        layout, values = f"{layout}-%u", values + "-1"
    elif ("%m" in layout or "%b" in layout) and not {"%d", "%e"} & set(re.findall("%.", layout)):
        layout, values = f"{layout}-%d", values + "-01"
    if any(part in layout for part in _TIME_PARTS):
        return values.str.to_datetime(layout, time_unit="us", strict=False)
    return values.str.to_date(layout, strict=False).cast(TS)


def _zoned(layout: str, values: pl.Series) -> pl.Series:
    return values.str.to_datetime(layout, time_unit="us", time_zone="UTC", strict=False)


def _moved(naive: pl.Series, zone: str | None, local: str | None) -> pl.Series:
    if zone is None or zone == local:
        return naive
    # The hour that clocks skip in spring does not exist and is not an instant.
    zoned = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return _localised(zoned, local)


def _localised(zoned: pl.Series, local: str | None) -> pl.Series:
    if local is None:
        raise InvalidInput(
            "The source's instants carry a time zone; say local_time_zone, the retailer's own, "
            "at the top of the mapping.",
            field="local_time_zone",
        )
    return zoned.dt.convert_time_zone(local).dt.replace_time_zone(None)
