"""Raw columns of any type in, expressions for canonical ids, numbers, instants and flags out.

What cannot be read becomes null, which the rules of `mapped` turn into a reason.
"""

import polars as pl

from features.errors import InvalidInput
from features.tables import ID, TS

# What exports write where there is no value. An id may be any of the last three.
_NOTHING = ["", "NULL", "null", "NaN", "nan", "None", "\\N"]
_NO_NUMBER = [*_NOTHING, "NA", "N/A", "-"]
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


def text(column: str, nothing: list[str] = _NOTHING) -> pl.Expr:
    """Return a column as text without surrounding blanks, null where nothing is written."""
    stripped = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(~stripped.is_in(nothing)).then(stripped)


def written(column: str) -> pl.Expr:
    """Whether a row holds something that a number or an instant could be read from."""
    return text(column, _NO_NUMBER).is_not_null()


def identity(column: str, dtype: pl.DataType) -> pl.Expr:
    """Read an id; whole numbers that were stored as fractions lose the `.0`."""
    if dtype.is_float():
        whole = pl.col(column).cast(pl.Int64, strict=False)
        return (
            pl.when(whole.cast(dtype) == pl.col(column))
            .then(whole.cast(ID))
            .otherwise(pl.col(column).cast(ID))
        )
    return text(column)


def number(column: str, dtype: pl.DataType, decimal: str) -> pl.Expr:
    """Read a number; marks between thousands are allowed where they stand in their places."""
    if dtype.is_numeric():
        return pl.col(column).cast(pl.Float64).fill_nan(None)
    thousands = "," if decimal == "." else "."
    raw = text(column, _NO_NUMBER).str.strip_chars("€$£¥ \u00a0")
    groups = rf"^([+-]?\d{{1,3}})([{thousands} '\u00a0\u202f]\d{{3}})+([{decimal}]\d*)?$"
    plain = (
        pl.when(raw.str.contains(groups))
        .then(raw.str.replace_all(rf"[{thousands} '\u00a0\u202f]", ""))
        .otherwise(raw)
    )
    if decimal == ",":
        # A point that parts no thousands is not a number where the comma is the decimal mark.
        plain = pl.when(~plain.str.contains(".", literal=True)).then(
            plain.str.replace(",", ".", literal=True)
        )
    value = plain.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def flag(column: str, dtype: pl.DataType) -> pl.Expr:
    """Read a yes or a no."""
    if dtype == pl.Boolean:
        return pl.col(column)
    word = text(column).str.to_lowercase()
    return (
        pl.when(word.is_in(_TRUE))
        .then(pl.lit(value=True))
        .when(word.is_in(_FALSE))
        .then(pl.lit(value=False))
    )


def instant(
    column: str, dtype: pl.DataType, date_format: str | None, zone: str | None, local: str | None
) -> pl.Expr:
    """Read an instant and state it in the retailer's local time.

    Parameters
    ----------
    date_format
        Of text; ISO where it is None.
    zone
        In which instants without a zone of their own are stated; local time where it is None.
    local
        The retailer's time zone.

    Raises
    ------
    InvalidInput
        If instants carry a zone and the retailer's is not given.
    """
    if dtype == pl.Date:
        return pl.col(column).cast(TS)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            return _localised(pl.col(column).cast(pl.Datetime("us", dtype.time_zone)), local)
        return _moved(pl.col(column).cast(TS), zone, local)
    raw = text(column, _NO_NUMBER)
    if date_format is not None and "%z" in date_format:
        return _localised(
            raw.str.to_datetime(date_format, time_unit="us", time_zone="UTC", strict=False), local
        )
    formats = _ISO if date_format is None else [date_format]
    naive = pl.coalesce(_parsed(raw, layout) for layout in formats)
    found = _moved(naive, zone, local)
    if date_format is None and local is not None:
        zoned = pl.coalesce(
            raw.str.to_datetime(layout, time_unit="us", time_zone="UTC", strict=False)
            for layout in _ISO_ZONED
        )
        found = pl.coalesce(found, _localised(zoned, local))
    return found


def _parsed(raw: pl.Expr, layout: str) -> pl.Expr:
    has_time = any(part in layout for part in ("%H", "%I", "%T", "%R", "%s", "%c", "%X", "%r"))
    if has_time:
        return raw.str.to_datetime(layout, time_unit="us", strict=False)
    return raw.str.to_date(layout, strict=False).cast(TS)


def _moved(naive: pl.Expr, zone: str | None, local: str | None) -> pl.Expr:
    if zone is None or zone == local:
        return naive
    # The hour that clocks skip in spring does not exist and is not an instant.
    zoned = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return _localised(zoned, local)


def _localised(zoned: pl.Expr, local: str | None) -> pl.Expr:
    if local is None:
        raise InvalidInput(
            "The source's instants carry a time zone; say local_time_zone, the retailer's own, "
            "at the top of the mapping.",
            field="local_time_zone",
        )
    return zoned.dt.convert_time_zone(local).dt.replace_time_zone(None)
