"""What the values of a column look like: numbers, dates and their format, ids, words.

A sample of a column in, a Profile out; used by `roles`.
"""

from dataclasses import dataclass
from itertools import product

import polars as pl

from features.ingest.mapping_draft.words import meaning
from features.ingest.sources import parse

# A column is of a kind where so many of its values are.
_MOST = 0.97
_DATED = 0.9
_CHECKED = 4_000
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y",
    "%d %B %Y", "%B %d, %Y", "%Y%m%d", "%G-W%V", "%GW%V", "%Y-%m",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
_FORMATS = tuple("".join(pair) for pair in product(_DATES, _TIMES))
_EPOCH = (8e8, 4e9)  # seconds: 1995 to 2096


@dataclass(frozen=True)
class Profile:
    """What a column's sample shows.

    Attributes
    ----------
    name
        In the source.
    values
        The sample, as text or as its own type.
    filled, distinct
        Share of rows with a value; number of different values.
    numeric, whole, negative
        Share of values that are numbers; of numbers that are whole; that are below 0.
    decimal
        The decimal mark of its numbers.
    numbers
        Its numbers, null where there is none.
    dates
        Its instants, where it holds any.
    date_format
        Of its dates; None where they are ISO or typed.
    doubt
        What else its dates could be.
    zoned
        Whether instants carry a zone.
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
    doubt: str = ""
    zoned: bool = False

    @property
    def rows(self) -> int:
        """Number of values in the sample."""
        return max(1, len(self.values) - self.values.null_count())

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.numeric >= _MOST

    @property
    def repeats(self) -> float:
        """How often a value occurs, on average."""
        return self.rows / max(1, self.distinct)


def profile(name: str, values: pl.Series) -> Profile:
    """Look at a column's sample."""
    shown = parse.text(values) if values.dtype == pl.String else values
    filled = 1 - shown.null_count() / max(1, len(shown))
    decimal, numbers = _numbers(shown)
    there = numbers.drop_nulls()
    present = max(1, len(shown) - shown.null_count())
    dates, date_format, doubt, zoned = _dates(shown, numbers)
    if dates is None:
        dates, date_format = _periods(shown, numbers, meaning(name).stated)
    return Profile(
        name,
        shown,
        filled,
        shown.drop_nulls().n_unique(),
        len(there) / present,
        float((there == there.round()).mean() or 0),  # type: ignore[arg-type]
        float((there < 0).mean() or 0),  # type: ignore[arg-type]
        decimal,
        numbers,
        dates,
        date_format,
        doubt,
        zoned,
    )


def _numbers(values: pl.Series) -> tuple[str, pl.Series]:
    """Read numbers with the decimal mark that reads more of them."""
    point = parse.number(values, ".")
    if values.dtype != pl.String:
        return ".", point
    # A lone comma before three digits may part thousands; before others it is a decimal mark.
    commas = values.str.contains(r"\d,\d{1,2}$|\d,\d{4,}$").sum()
    points = values.str.contains(r"\d\.\d+$").sum()
    if commas > points:
        return ",", parse.number(values, ",")
    return ".", point


def _dates(values: pl.Series, numbers: pl.Series) -> tuple[pl.Series | None, str | None, str, bool]:
    """Find out how dates are written: instants, format, doubt, whether they carry a zone."""
    dtype = values.dtype
    if dtype in (pl.Date, pl.Datetime):
        zone = getattr(dtype, "time_zone", None)
        return parse.timestamp(values, None, None, zone), None, "", zone is not None
    if not (dtype == pl.String or dtype.is_integer()):
        return None, None, "", False
    present = len(values) - values.null_count()
    if not present:
        return None, None, "", False
    iso = parse.timestamp(values, None, None, None) if dtype == pl.String else None
    if iso is not None and iso.len() - iso.null_count() >= _DATED * present:
        return iso, None, "", False
    if dtype == pl.String:
        zoned = parse.timestamp(values, None, None, "UTC")
        if zoned.len() - zoned.null_count() >= _DATED * present:
            return zoned, None, "", True
    whole = numbers.drop_nulls()
    if len(whole) == present:
        seconds = (whole / 1000).zip_with(whole >= 1e11, whole)
        if seconds.is_between(*_EPOCH).all():
            return parse.timestamp(values, parse.EPOCH, None, "UTC"), parse.EPOCH, "", True
        if not whole.is_between(19900101, 21001231).all():
            return None, None, "", False
    return _written_dates(parse.text(values))


def _periods(
    values: pl.Series, numbers: pl.Series, stated: tuple[str, ...]
) -> tuple[pl.Series | None, str | None]:
    """Read figures such as 202405 as weeks or months, where the name says that they are."""
    for word, layout, most in (("week", "%G%V", 53), ("month", "%Y%m", 12)):
        there = numbers.drop_nulls()
        last = there % 100
        likely = there.is_between(199001, 210053) & last.is_between(1, most)
        if word in stated and len(there) and likely.all():
            return parse.timestamp(parse.text(values), layout, None, None), layout
    return None, None


def _written_dates(values: pl.Series) -> tuple[pl.Series | None, str | None, str, bool]:
    checked = values.drop_nulls()
    step = max(1, len(checked) // _CHECKED)
    checked = checked.gather_every(step)
    fitting = [layout for layout in _FORMATS if _share(checked, layout) >= _DATED]
    if not fitting:
        return None, None, "", False
    # Of two ways to read the same figures, records stand in the order of time in one.
    steps = {layout: _unrest(parse.timestamp(checked, layout, None, None)) for layout in fitting}
    best = min(fitting, key=lambda layout: (steps[layout], _FORMATS.index(layout)))
    dates = parse.timestamp(values, best, None, None)
    others = [layout for layout in fitting if layout != best and steps[layout] < 2 * steps[best]]
    return dates, best, others[0] if others else "", False


def _share(values: pl.Series, layout: str) -> float:
    found = parse.timestamp(values, layout, None, None)
    years = found.dt.year()
    return float((years.is_between(1970, 2100)).sum()) / max(1, len(values))


def _unrest(dates: pl.Series) -> float:
    """How far dates jump from row to row, and how far they reach, in days."""
    days = dates.drop_nulls().cast(pl.Date).cast(pl.Int32)
    jumps = days.diff().abs().mean()
    return float(jumps or 0) + 1  # type: ignore[arg-type]
