"""Profile of a column: a sample of its values in, numbers, dates and their format out."""

from dataclasses import dataclass
from itertools import product

import polars as pl

from features.ingest.mapping_draft.column_names import interpret_name
from features.ingest.sources import parse
from features.ingest.sources.decimal_marks import only_with_mark
from features.ingest.sources.numbers import Notation, number

# Minimum share of values that are numbers in a column of numbers, and dates in one of dates.
_NUMERIC_SHARE = 0.97
_DATED_SHARE = 0.9
# Values on which date formats are tried.
_CHECKED = 4_000
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y",
    "%d %B %Y", "%B %d, %Y", "%Y%m%d", "%G-W%V", "%GW%V", "%Y-%m",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
_FORMATS = tuple("".join(pair) for pair in product(_DATES, _TIMES))
_EPOCH_SECONDS = (8e8, 4e9)  # 1995 to 2096
_MILLISECONDS_FROM = 1e11
_SPREADSHEET_DAYS = (32_874, 54_789)  # 1990 to 2050


@dataclass(frozen=True)
class ColumnProfile:
    """Properties of a column's sample.

    Attributes
    ----------
    name
        Name in the source.
    values
        The sample, as text or in its own type.
    filled, distinct
        Share of rows with a value; number of distinct values.
    numeric, whole, negative
        Share of values that are numbers; shares of numbers that are whole, and below 0.
    decimal
        Decimal mark of the numbers.
    numbers
        The values as numbers, null where a value is none.
    dates
        The values as timestamps, for columns of dates.
    date_format
        Format of the dates; None for ISO and typed dates.
    alternative_format
        Another format that fits as well; empty if there is none.
    zoned
        Whether timestamps carry a time zone.
    """

    name: str
    values: pl.Series
    filled: float
    distinct: int
    numeric: float
    whole: float
    negative: float
    decimal: str
    numbers: pl.Series
    dates: pl.Series | None = None
    date_format: str | None = None
    alternative_format: str = ""
    zoned: bool = False

    @property
    def count(self) -> int:
        """Number of values in the sample, at least 1."""
        return max(1, len(self.values) - self.values.null_count())

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return self.numeric >= _NUMERIC_SHARE

    @property
    def repeats(self) -> float:
        """Mean number of occurrences of a value."""
        return self.count / max(1, self.distinct)


@dataclass(frozen=True)
class _Dates:
    """Dates of a column, see `ColumnProfile`; without values if the column holds no dates."""

    values: pl.Series | None = None
    form: str | None = None
    alternative: str = ""
    zoned: bool = False


def profile_column(name: str, values: pl.Series) -> ColumnProfile:
    """Profile a column's sample."""
    values = parse.text(values) if values.dtype == pl.String else values
    filled = 1 - values.null_count() / max(1, len(values))
    decimal, numbers = _numbers(values)
    present = numbers.drop_nulls()
    dates = _dates(values, numbers)
    if dates.values is None:
        dates = _periods(values, numbers, interpret_name(name).properties)
    return ColumnProfile(
        name,
        values,
        filled,
        values.drop_nulls().n_unique(),
        len(present) / max(1, len(values) - values.null_count()),
        float((present == present.round()).mean() or 0),  # type: ignore[arg-type]
        float((present < 0).mean() or 0),  # type: ignore[arg-type]
        decimal,
        numbers,
        dates.values,
        dates.form,
        dates.alternative,
        dates.zoned,
    )


def _numbers(values: pl.Series) -> tuple[str, pl.Series]:
    """Parse numbers with the decimal mark that fits more values; returns mark and numbers."""
    if values.dtype != pl.String:
        return ".", number(values)
    commas, points = (values.str.contains(only_with_mark(mark)).sum() for mark in (",", "."))
    decimal = "," if commas > points else "."
    return decimal, number(values, Notation(decimal))


def _dates(values: pl.Series, numbers: pl.Series) -> _Dates:
    """Detect dates and their format."""
    dtype = values.dtype
    if dtype in (pl.Date, pl.Datetime):
        zone = getattr(dtype, "time_zone", None)
        return _Dates(parse.timestamp(values, None, None, zone), zoned=zone is not None)
    if not (dtype == pl.String or dtype.is_integer()):
        return _Dates()
    present = len(values) - values.null_count()
    if not present:
        return _Dates()
    if dtype == pl.String:
        for zone in (None, "UTC"):
            dates = parse.timestamp(values, None, None, zone)
            if dates.len() - dates.null_count() >= _DATED_SHARE * present:
                return _Dates(dates, zoned=zone is not None)
    whole = numbers.drop_nulls()
    if len(whole) == present:
        seconds = (whole / 1000).zip_with(whole >= _MILLISECONDS_FROM, whole)
        if seconds.is_between(*_EPOCH_SECONDS).all():
            dates = parse.timestamp(values, parse.EPOCH, None, "UTC")
            return _Dates(dates, parse.EPOCH, zoned=True)
        if not whole.is_between(19900101, 21001231).all():
            return _Dates()
    return _formatted_dates(parse.text(values))


def _periods(values: pl.Series, numbers: pl.Series, properties: tuple[str, ...]) -> _Dates:
    """Parse numbers of weeks, months or a spreadsheet's days, if the column's name says so."""
    for word, form, last_period in (("week", "%G%V", 53), ("month", "%Y%m", 12)):
        present = numbers.drop_nulls()
        period = present % 100
        likely = present.is_between(199001, 210053) & period.is_between(1, last_period)
        if word in properties and len(present) and likely.all():
            return _Dates(parse.timestamp(parse.text(values), form, None, None), form)
    present = numbers.drop_nulls()
    days = len(present) > 0 and present.is_between(*_SPREADSHEET_DAYS).all()
    if "date" in properties and days:
        return _Dates(parse.timestamp(values, parse.SPREADSHEET, None, None), parse.SPREADSHEET)
    return _Dates()


def _formatted_dates(values: pl.Series) -> _Dates:
    """Parse dates with the format that fits best."""
    checked = values.drop_nulls()
    checked = checked.gather_every(max(1, len(checked) // _CHECKED))
    fitting = [form for form in _FORMATS if _share_parsed(checked, form) >= _DATED_SHARE]
    if not fitting:
        return _Dates()
    # Records are mostly in chronological order, so that the right one of two formats gives
    # smaller steps between rows.
    steps = {form: _mean_step(parse.timestamp(checked, form, None, None)) for form in fitting}
    best = min(fitting, key=lambda form: (steps[form], _FORMATS.index(form)))
    others = [form for form in fitting if form != best and steps[form] < 2 * steps[best]]
    dates = parse.timestamp(values, best, None, None)
    return _Dates(dates, best, others[0] if others else "")


def _share_parsed(values: pl.Series, form: str) -> float:
    years = parse.timestamp(values, form, None, None).dt.year()
    return float((years.is_between(1970, 2100)).sum()) / max(1, len(values))


def _mean_step(dates: pl.Series) -> float:
    """Return the mean absolute difference of neighbouring dates in days, plus one."""
    days = dates.drop_nulls().cast(pl.Date).cast(pl.Int32)
    steps = days.diff().abs().mean()
    return float(steps or 0) + 1  # type: ignore[arg-type]
