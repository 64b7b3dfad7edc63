"""Parsers of raw columns: a column of any type in, ids, timestamps or flags out.

Unreadable values become null; `mapped_rules` reports them. A column is parsed eagerly, batch by
batch: first the fast way, then only the remaining values with slower, more tolerant parsers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import partial

import polars as pl

from features.calendar import to_day
from features.errors import InvalidInput
from features.ingest.mapping.schema import Scalar
from features.ingest.sources.numbers import MISSING, MISSING_NUMBER, number
from features.tables import DAY, ID, TS

_TRUE = ["true", "yes", "y", "t", "1", "1.0"]
_FALSE = ["false", "no", "n", "f", "0", "0.0"]
_ISO = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
]
_ISO_ZONED = [
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
]
# A time with an offset or the name of a zone at its end.
ZONED = r"\d:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$"
_TIME_PARTS = ("%H", "%I", "%T", "%R", "%c", "%X", "%r")
EPOCH = "%s"
# Days of a spreadsheet, counted from 1899-12-30; the time of day is their fraction.
SPREADSHEET = "spreadsheet"
SPREADSHEET_DAY = r"^\s*[2-7]\d{4}(?:[.,]\d+)?\s*$"  # 1954 to 2118
_SPREADSHEET_EPOCH = datetime(1899, 12, 30)
_DAY_SECONDS = 86_400
_MILLISECONDS_FROM = 1e11  # in seconds: year 5138
_SAMPLE = 64  # values that decide which format is tried first


def text(values: pl.Series, missing: Sequence[str] = MISSING) -> pl.Series:
    """Return a column as text without surrounding blanks, null for missing values."""
    stripped = values.cast(pl.String).str.strip_chars()
    is_missing = stripped.is_in(missing)
    return stripped.set(is_missing, None) if is_missing.any() else stripped


def identifier(values: pl.Series) -> pl.Series:
    """Parse ids; whole numbers stored as floats lose their `.0`."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
        whole = values.cast(pl.Int64, strict=False)
        return whole.cast(ID).zip_with(whole.cast(values.dtype) == values, values.cast(ID))
    ids = text(values)
    if values.dtype == pl.String and ids.str.ends_with(".0").any():
        return ids.str.replace(r"^(\d+)\.0$", "$1")
    return ids


def boolean(values: pl.Series) -> pl.Series:
    """Parse yes and no, in any of their common forms."""
    if values.dtype == pl.Boolean:
        return values
    word = text(values).str.to_lowercase()
    null = pl.Series(values.name, [None], dtype=pl.Boolean)
    return word.is_in(_TRUE).zip_with(word.is_in([*_TRUE, *_FALSE]), null)


def word(values: pl.Series, words: Mapping[str, str]) -> pl.Series:
    """Parse words of a vocabulary, in any case; null for others.

    Parameters
    ----------
    words
        Value by word in lower case; the empty word stands for a missing value.
    """
    lower = identifier(values).str.to_lowercase().fill_null("")
    return lower.replace_strict(words, default=None, return_dtype=pl.String)


def timestamp(
    values: pl.Series, date_format: str | None, zone: str | None, local: str | None
) -> pl.Series:
    """Parse timestamps, and convert them to the retailer's local time.

    Parameters
    ----------
    date_format
        Format of text and whole numbers; None for ISO. `%s` counts seconds or milliseconds
        since 1970 in UTC; `spreadsheet` counts days since 1899-12-30; weeks (`%G-W%V`) and months
        (`%Y-%m`) become their first day.
    zone
        Time zone of timestamps without one; None for local time.
    local
        The retailer's time zone.

    Raises
    ------
    InvalidInput
        If timestamps have a time zone and `local` is None.
    """
    dtype = values.dtype
    if dtype == pl.Date:
        return values.cast(TS)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            return _to_local(values.cast(pl.Datetime("us", dtype.time_zone)), local)
        return _between_zones(values.cast(TS), zone, local)
    if date_format == EPOCH:
        count = number(values)
        seconds = (count / 1000).zip_with(count.abs() >= _MILLISECONDS_FROM, count)
        micros = (seconds * 1e6).cast(pl.Int64, strict=False).cast(TS)
        return _to_local(micros.dt.replace_time_zone("UTC"), local)
    if date_format == SPREADSHEET:
        return _between_zones(_spreadsheet_times(values), zone, local)
    raw = values if dtype == pl.String else text(values, MISSING_NUMBER)
    if date_format is not None and "%z" in date_format:
        return _to_local(_parse_zoned(date_format, text(raw, MISSING_NUMBER)), local)
    formats = _ISO if date_format is None else [date_format]
    if len(formats) > 1:
        # Most values of a file share one format, which is tried first.
        head = raw.head(_SAMPLE)
        formats = sorted(formats, key=lambda form: _parse_naive(form, head).null_count())
    parsers = [partial(_parse_naive, form) for form in formats]
    naive = _first_parsed(parsers, raw)
    if naive.null_count() > raw.null_count():
        naive = _first_parsed(parsers, text(raw, MISSING_NUMBER))
    times = _between_zones(naive, zone, local)
    if date_format is None and local is not None and times.null_count() > raw.null_count():
        unparsed = times.is_null() & raw.is_not_null()
        rest = text(raw.filter(unparsed), MISSING_NUMBER).str.replace(r"\s*(?:UTC|GMT)$", "Z")
        zoned = _first_parsed([partial(_parse_zoned, form) for form in _ISO_ZONED], rest)
        times = times.scatter(unparsed.arg_true(), _to_local(zoned, local))
    return times


def _spreadsheet_times(values: pl.Series) -> pl.Series:
    """Convert days of a spreadsheet to timestamps, to the second."""
    if values.dtype == pl.String:
        values = values.str.replace(",", ".", literal=True)
    seconds = (number(values) * _DAY_SECONDS).round()
    seconds = seconds.set(~seconds.is_between(0, _MILLISECONDS_FROM), None)
    since = (seconds * 1_000_000).cast(pl.Int64).cast(pl.Duration("us"))
    return (since + _SPREADSHEET_EPOCH).cast(TS).alias(values.name)


def literal(name: str, value: Scalar, dtype: pl.DataType | None) -> pl.Expr:
    """Return a constant of the mapping as a literal of a column's type."""
    if dtype == DAY() and name != "line" and isinstance(value, str | date):
        return pl.lit(to_day(value), dtype=DAY)
    try:
        return pl.lit(pl.Series([value]).cast(dtype)[0] if dtype else value, dtype=dtype)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(
            f"constants.{name} = {value!r} cannot be {dtype}.", field=name
        ) from error


def _first_parsed(
    parsers: Iterable[Callable[[pl.Series], pl.Series]], values: pl.Series
) -> pl.Series:
    """Parse values with the first parser, the remaining ones with the next, and so on."""
    first, *others = parsers
    parsed = first(values)
    for parser in others:
        unparsed = parsed.is_null() & values.is_not_null()
        if not unparsed.any():
            break
        parsed = parsed.scatter(unparsed.arg_true(), parser(values.filter(unparsed)))
    return parsed


def week(values: pl.Series, first_week: date) -> pl.Series:
    """Parse week numbers as the first day of each week.

    Parameters
    ----------
    first_week
        First day of week 1.
    """
    days = ((number(values) - 1) * 7).floor().cast(pl.Int32, strict=False)
    return (days + to_day(first_week)).cast(pl.Date).cast(TS)


def _parse_naive(form: str, values: pl.Series) -> pl.Series:
    # A week or a month is completed to its first day.
    if ("%V" in form or "%W" in form) and "%u" not in form:
        form, values = f"{form}-%u", values + "-1"
    elif ("%m" in form or "%b" in form) and not {"%d", "%e"} & set(re.findall("%.", form)):
        form, values = f"{form}-%d", values + "-01"
    if any(part in form for part in _TIME_PARTS):
        return values.str.to_datetime(form, time_unit="us", strict=False)
    return values.str.to_date(form, strict=False).cast(TS)


def _parse_zoned(form: str, values: pl.Series) -> pl.Series:
    return values.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)


def _between_zones(naive: pl.Series, zone: str | None, local: str | None) -> pl.Series:
    """Convert timestamps of a zone to local time."""
    if zone is None or zone == local:
        return naive
    # Times within the hour that is skipped in spring do not exist and become null.
    zoned = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return _to_local(zoned, local)


def _to_local(zoned: pl.Series, local: str | None) -> pl.Series:
    if local is None:
        raise InvalidInput(
            "The source's timestamps carry a time zone; set local_time_zone, the retailer's own, "
            "at the top of the mapping.",
            field="local_time_zone",
        )
    return zoned.dt.convert_time_zone(local).dt.replace_time_zone(None)
