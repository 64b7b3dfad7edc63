"""Closures: sales and planned opening in, the days on which locations sell nothing at all out.

A location is closed on a day on which the covariate `open` or `opening_hours` is zero; where
neither is known, on a day without sales on which it usually sells. Both are a missing value of
demand, and no demand of zero. What is inferred about a day reads no later day. Closures that recur
are expected (`recurring_closures`) where no plan is known.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.covariates import covariate_table
from features.demand.grain import Grain
from features.demand.recurring_closures import MIN_WEEKS, WEEKS, recurring_closures
from features.demand.series import THOUSANDTHS, series_by_keys
from features.memo import memo
from features.typing import Bools, Floats, Ints

# Covariates that are zero on the days on which a location is closed.
NAMES = ("open", "opening_hours")
# Code of a planned closure, beside those of `recurring_closures`.
PLAN = 1
# Days before and after a day in which its runs of closed days are counted.
MARGIN_DAYS = 7

_FILES = ("places.parquet", "closures.parquet", "chain_opening.parquet")
# The most days without sales that are a closure while they last: then the location has stopped.
_MAX_RUN_DAYS = 28
# A day without sales is a closure if it is less likely than this while the location is open, and
# sales up to this share of the usual are none: M5's shops sell a thousandth at Christmas.
_MAX_LOG_PROBABILITY = float(np.log(1e-3))
_NO_SALES_SHARE = 0.01
# Same weekdays, and days, over which the mean and the variance of sales are measured.
_MEAN_DAYS, _VARIANCE_DAYS = 8, 56
# Shares are rounded to multiples of 1 / _RESOLUTION: sums of them are exact in any order.
_RESOLUTION = 1024


@dataclass(frozen=True)
class Opening:
    """On which days some places are open; a place is a location, a region or the whole chain.

    Attributes
    ----------
    first_day
        Day of the first column.
    places
        Keys of the places and `first_day` of a sale, by row; no key for the chain.
    closed
        Whether a place was closed, shape (places, past days).
    planned
        Planned opening, 1 or 0, of past and further days; NaN if unknown.
    known_ahead
        Whether `planned` is known before its day.
    chain
        Share of the chain's usual sales that open places have, by past day.
    """

    first_day: int
    places: pl.DataFrame
    closed: Bools
    planned: Floats
    known_ahead: bool
    chain: Floats

    def rows(self, index: pl.DataFrame) -> Ints:
        """Return the place of each row of a frame with its keys."""
        keys = [key for key in self.places.columns if key in index.columns and key != "first_day"]
        if not keys:
            return np.zeros(index.height, dtype=np.int64)
        numbered = self.places.with_row_index("row")
        joined = index.select(keys).join(numbered, on=keys, how="left", maintain_order="left")
        return joined.get_column("row").fill_null(0).to_numpy().astype(np.int64)

    def share(self, lengths: Ints) -> tuple[Floats, Floats]:
        """Return the open share of past periods, shape (places, periods), and of the chain.

        `lengths` are the days of each period.
        """
        if not len(lengths):
            return np.ones((len(self.closed), 0)), np.ones(0)
        start = np.cumsum(lengths) - lengths
        open_days = np.add.reduceat(1.0 - self.closed, start, axis=1)
        chain = np.add.reduceat(self.chain, start)
        return _rounded(open_days / lengths), _rounded(chain / lengths)

    def ahead(self, day: int, count: int, country: str) -> Ints:
        """Return why places are closed on `count` days from `day` on, shape (places, count).

        Codes are `PLAN`, `WEEKDAY` and `YEAR`, or 0. No sales of these days are read.
        """
        at = day - self.first_day
        reasons = np.zeros((len(self.closed), count), dtype=np.int64)
        unknown = np.ones(reasons.shape, dtype=bool)
        if self.known_ahead:
            plan = self.planned[:, at : at + count]
            unknown[:, : plan.shape[1]] = np.isnan(plan)
            reasons[:, : plan.shape[1]][plan == 0] = PLAN
        past = self.closed[:, :at]
        if unknown.any() and past.any():
            begun = self.places.get_column("first_day").to_numpy() - self.first_day
            expected = recurring_closures(past, begun, self.first_day, count, country)
            reasons = np.where(unknown, expected, reasons)
        return reasons


def opening(dataset: Dataset, grain: Grain, first: int, origin: int, until: int) -> Opening:
    """Arrange the opening of the places of a grain.

    Parameters
    ----------
    dataset, grain
        The records, and the definition of a series.
    first, origin, until
        First day; the day from which on sales are not read; the day after the last planned one.
    """
    known, past = recorded_closures(dataset, grain).between(first, origin), origin - first
    closed = np.zeros((known.places.height, past), dtype=bool)
    closed[known.days.get_column("row").to_numpy(), known.days.get_column("day") - first] = True
    planned, known_ahead = _planned(dataset, known.places, first, until - first)
    unrecorded = slice(max(dataset.days[1] + 1 - first, 0), past)
    closed[:, unrecorded] = planned[:, unrecorded] == 0
    closed = _without_stopped(closed, planned[:, :past])
    chain = np.ones(past)
    chain[known.chain.get_column("day") - first] = known.chain.get_column("share")
    return Opening(first, known.places, closed, planned, known_ahead, chain)


@dataclass(frozen=True)
class RecordedClosures:
    """Closures in the records.

    Attributes
    ----------
    places
        Keys of the places and `first_day` of a sale; no key for the chain.
    days
        `row` of a place and `day` on which it was closed.
    chain
        `day` and `share` of the chain's usual sales that open places have; 1 on other days.
    """

    places: pl.DataFrame
    days: pl.DataFrame
    chain: pl.DataFrame

    def between(self, first: int, end: int) -> Self:
        """Return the closures from the day `first` to before `end`."""
        inside = pl.col("day").is_between(first, end - 1)
        return replace(self, days=self.days.filter(inside), chain=self.chain.filter(inside))

    def save(self, folder: Path) -> None:
        """Write the closures into a folder."""
        for name, frame in zip(_FILES, (self.places, self.days, self.chain), strict=True):
            frame.write_parquet(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(*(pl.read_parquet(folder / name) for name in _FILES))


@memo("orders", "sales", "products", "locations", "covariates")
def recorded_closures(dataset: Dataset, grain: Grain) -> RecordedClosures:
    """Find the closures of the places of a grain: of its location keys, or of the chain."""
    keys = grain.location_keys
    places, sold = _sales(dataset, keys or grain.keys, chain=not keys)
    first, last = dataset.days
    length = dataset.period_days if dataset.records == "sales" else 1
    planned, _ = _planned(dataset, places, first, last + 1 - first)
    closed = (planned == 0) & (sold == 0)
    if length in (1, 7) and np.isnan(planned).any():
        closed |= np.isnan(planned) & _inferred(sold, length)
    begun = np.argmax(sold > 0, axis=1)
    closed &= np.arange(sold.shape[1]) >= begun[:, None]
    row, column = np.nonzero(closed)
    days = pl.DataFrame({"row": row, "day": column + first})
    usual = _mean_before(sold, closed)
    weight = usual.sum(axis=0)
    share = np.ones(len(weight))
    np.divide((usual * ~closed).sum(axis=0), weight, out=share, where=weight > 0)
    part = pl.DataFrame({"day": np.arange(len(share)) + first, "share": _rounded(share)})
    places = places.with_columns(first_day=begun + first)
    return RecordedClosures(places, days, part.filter(pl.col("share") < 1))


def closed_periods(dataset: Dataset, grain: Grain, phase: int) -> pl.DataFrame:
    """Return the location keys of a grain and the `date` of periods that were closed throughout.

    Periods begin on days with the position `phase`.
    """
    known = recorded_closures(dataset, grain)
    number = grain.number(pl.col("day"), phase)
    first, end = grain.start(number, phase), grain.start(number + 1, phase)
    date = first.cast(pl.Int32).cast(pl.Date).alias("date")
    periods = known.days.group_by("row", date, (end - first).alias("length"))
    whole = periods.agg(pl.len()).filter(pl.col("len") == pl.col("length"))
    rows = known.places.with_row_index("row").cast({"row": pl.Int64})
    return whole.join(rows, on="row", how="inner").select(*grain.location_keys, "date")


def _sales(dataset: Dataset, keys: tuple[str, ...], *, chain: bool) -> tuple[pl.DataFrame, Floats]:
    """Return the keys of places and their units, shape (places, recorded days)."""
    first, last = dataset.days
    series = series_by_keys(dataset, keys)
    index = series.index.select("series", *keys).collect().to_polars().sort("series")
    units = series.units.collect().to_polars().filter(pl.col("day").is_between(first, last))
    place = np.zeros(index.height, dtype=np.int64) if chain else np.arange(index.height)
    numbered = index.select("series", place=place)
    by_place = units.join(numbered, on="series", how="inner").group_by("place", "day")
    cells = by_place.agg(pl.col("units").sum())
    sold = np.zeros((1 if chain else index.height, last + 1 - first))
    row, column = cells.get_column("place").to_numpy(), cells.get_column("day").to_numpy() - first
    sold[row, column] = cells.get_column("units").to_numpy() / THOUSANDTHS
    return pl.DataFrame({"chain": ["all"]}) if chain else index.select(keys), sold


def _planned(dataset: Dataset, places: pl.DataFrame, first: int, days: int) -> tuple[Floats, bool]:
    """Return the planned opening of places, shape (places, days); whether it is known ahead."""
    planned = np.full((places.height, days), np.nan)
    if not dataset.has("covariates"):
        return planned, False
    column = (pl.col("day") - first).alias("column")
    table = covariate_table(dataset).filter(pl.col("name").is_in(NAMES)).with_columns(column)
    rows = table.filter(pl.col("column").is_between(0, days - 1))
    opened = (pl.col("value").min() > 0).cast(pl.Float64).alias("open")
    by_location = rows.group_by("location_id", "column").agg(opened)
    of_chain = by_location.filter(pl.col("location_id").is_null())
    planned[:, of_chain.get_column("column").to_numpy()] = of_chain.get_column("open").to_numpy()
    located = by_location.drop_nulls("location_id")
    if "location_id" in places.columns:
        located = located.join(places.with_row_index("row"), on="location_id", how="inner")
        row, column_ = located.get_column("row").to_numpy(), located.get_column("column").to_numpy()
        planned[row, column_] = located.get_column("open").to_numpy()
    elif not located.is_empty():
        # The chain is closed where all locations are; where some are unknown, it is as well.
        chain = located.group_by("column").agg(pl.col("open").max(), pl.len())
        complete = (pl.col("len") == pl.col("len").max()) | (pl.col("open") > 0)
        chain = chain.filter(complete)
        missing = np.isnan(planned[0, chain.get_column("column").to_numpy()])
        kept = chain.filter(pl.Series(missing))
        planned[:, kept.get_column("column").to_numpy()] = kept.get_column("open").to_numpy()
    return planned, bool(table.height) and bool(table.get_column("known_ahead").all())


def _inferred(sold: Floats, length: int) -> Bools:
    """Mark the days on which places that usually sell sold nothing, shape (places, days).

    `length` is that of the recorded periods: of longer ones than days there are no weekdays.
    """
    periods = sold.shape[1] // length
    by_period = sold[:, : periods * length].reshape(len(sold), periods, length).sum(axis=2)
    marks = _periods_without_sales(by_period, 7 if length == 1 else 1)
    closed = np.zeros(sold.shape, dtype=bool)
    closed[:, : periods * length] = np.repeat(marks, length, axis=1)
    return closed


def _periods_without_sales(sold: Floats, cycle: int) -> Bools:
    """Mark closures in the order of time: each is judged by the open periods before it.

    A period is a closure if the place usually sells and no sales are improbable: by a negative
    binomial with the mean of its weekday. A weekday is always closed if nothing was sold on it in
    all but one of the last weeks, which is improbable on as many other days.
    """
    places, periods = sold.shape
    mean, seen = np.zeros((places, cycle)), np.zeros((places, cycle))
    empty = np.zeros((places, cycle, WEEKS), dtype=bool)
    weeks = np.zeros((places, cycle), dtype=np.int64)
    level, variance, share = np.zeros((3, places))
    count: Floats = np.zeros(places)
    closed = np.zeros(sold.shape, dtype=bool)
    begun = np.zeros(places, dtype=bool)
    for period in range(periods):
        day, units = period % cycle, sold[:, period]
        begun |= units > 0
        none = units <= _NO_SALES_SHARE * level
        ratio = np.maximum(variance / np.maximum(level, 1e-9), 1.0005)
        log_zero = -np.log(ratio) / (ratio - 1)
        usual = (seen[:, day] >= MIN_WEEKS) & (share < 0.05)
        shut = none & usual & (mean[:, day] * log_zero < _MAX_LOG_PROBABILITY)
        if cycle > 1:
            weeks[:, day] += begun
            empty[:, day, period // cycle % WEEKS] = none & begun
            number = empty[:, day].sum(axis=1)
            always = (number >= MIN_WEEKS) & (number >= np.minimum(weeks[:, day], WEEKS) - 1)
            likely = np.maximum(level * log_zero, np.log(np.maximum(share, 1e-9)))
            shut |= none & always & (number * likely < _MAX_LOG_PROBABILITY)
        closed[:, period] = shut & begun
        known = begun & ~shut
        error = (units - mean[:, day]) ** 2 * (seen[:, day] > 0)
        count += known
        seen[:, day] += known
        step = known / np.clip(count, 1, _VARIANCE_DAYS)
        level += step * (units - level)
        variance += step * (error - variance)
        share += step * (none - share)
        mean[:, day] += known / np.clip(seen[:, day], 1, _MEAN_DAYS) * (units - mean[:, day])
    return closed


def _without_stopped(closed: Bools, planned: Floats) -> Bools:
    """Limit inferred closures that last until now: a location that stopped sells nothing."""
    days = np.arange(closed.shape[1])
    last_open = np.max(np.where(closed, -1, days), axis=1, initial=-1)
    stopped = days >= last_open[:, None] + 1 + _MAX_RUN_DAYS
    kept: Bools = closed & ~(stopped & np.isnan(planned))
    return kept


def _mean_before(sold: Floats, closed: Bools) -> Floats:
    """Return the mean of the open days before each day, zero before the first sale."""
    begun = np.maximum.accumulate(sold > 0, axis=1)
    total = np.cumsum(sold * ~closed, axis=1) - sold * ~closed
    count: Ints = np.cumsum(begun & ~closed, axis=1) - (begun & ~closed)
    mean: Floats = total / np.maximum(count, 1)
    return mean


def _rounded(share: Floats) -> Floats:
    rounded: Floats = np.round(share * _RESOLUTION) / _RESOLUTION
    return rounded
