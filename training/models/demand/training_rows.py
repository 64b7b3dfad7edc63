"""A dataset and an instant in, labelled rows of past origins out; what the demand model learns."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.demand.builder import compute_features, past_periods, select_series
from features.demand.grain import Grain
from features.demand.panel import Panel, panel
from features.demand.series import THOUSANDTHS
from features.errors import MissingData

# So many rows are kept at most: a day tells less than a week, so there are more of them.
ROWS = {"day": 320_000, "week": 80_000}
# Origins are a week apart over two years: further back the assortment is another one.
ORIGIN_DAYS = 7
ORIGINS = 104
# Before its first origin a series needs this much past to be described.
WARM_UP_DAYS = 56
# Slower series teach little about sizes, and there are many of them.
UNITS_A_PERIOD = {"day": 0.1, "week": 0.25}
_STEADY_PERIODS = {"day": 182, "week": 28}
# With fewer examples there is nothing to learn.
MIN_ROWS = 100
# Days in a row that one member leaves out, at most.
_TURN_DAYS = 28
# A period in which a series could hardly sell teaches nothing.
_LEAST_OPEN = 0.5


@dataclass(frozen=True)
class Sample:
    """How much of the past is used.

    Attributes
    ----------
    rows
        The most rows to keep; fitting costs in proportion.
    seed
        Chooses which series and periods those are.
    country
        Whose public holidays count.
    """

    rows: int
    seed: int
    country: str


def training_rows(
    dataset: Dataset, grain: Grain, as_of_day: int, horizon_days: int, sample: Sample
) -> pl.DataFrame:
    """Stack past origins: the features of `demand`, `origin` (day) and the label `units`.

    A series takes part at an origin if it sold regularly before that origin: chosen by what
    came later, the rows would be of series that did better than could be expected. Periods
    that had not ended at `as_of` are left out, and those in which stock had run out.

    Raises
    ------
    MissingData
        If the records are too short, or nothing sells regularly.
    """
    first, _ = dataset.days
    index = select_series(dataset, grain, as_of_day)
    longest = min(
        (as_of_day - first) // grain.days, past_periods(grain) + ORIGINS * 7 // grain.days
    )
    laid_out = panel(dataset, grain, as_of_day, max(longest, 0), 0, index)
    warm = -(-WARM_UP_DAYS // grain.days)
    origins = [longest - ORIGIN_DAYS * k // grain.days for k in range(1, ORIGINS + 1)]
    origins = [at for at in dict.fromkeys(origins) if at >= warm]
    horizon = horizon_days // grain.days
    periods = sum(min(horizon, longest - at) for at in origins)
    # A part of the periods of more series: periods of one series tell much the same.
    kept = min(max(4 / horizon, 0.15), 0.5)
    most = max(int(sample.rows / kept / max(periods, 1)), 20)
    rng = np.random.default_rng(sample.seed)
    parts = []
    for at in origins:
        steady = _steady(laid_out, at)
        if len(steady) > most:
            steady = _brisk(laid_out, at, steady, most, rng)
        ahead = min(horizon, longest - at)
        chosen = rng.random((len(steady), ahead)) < kept
        row, step = np.nonzero(chosen)
        rows, column = steady[row], at + step
        possible = laid_out.availability[rows, column]
        seen = possible >= _LEAST_OPEN
        rows, step, column, possible = rows[seen], step[seen], column[seen], possible[seen]
        if not len(rows):
            continue
        units = laid_out.units[rows, column] / 1000 / possible
        parts.append(
            compute_features(laid_out, at, rows, step, sample.country).with_columns(
                units=pl.Series(units), origin=pl.lit(laid_out.day(at))
            )
        )
    found = pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
    if found.height < MIN_ROWS:
        raise MissingData(
            f"Demand at the grain {grain} has {found.height} examples in dataset {dataset.name} "
            f"before the day it should be known at; it needs {WARM_UP_DAYS} days of records and "
            "series that sell about once a period. Choose a coarser grain or a later date.",
            field="grain",
        )
    return found


def turns(rows: pl.DataFrame, members: int, period_days: int) -> NDArray[np.int64]:
    """Deal the time that is forecast out into as many parts as there are members, in turns.

    What moves all series in some weeks is then unseen by one member, as the future is. Where
    there are fewer periods than members, rows are dealt out instead.
    """
    day = rows.get_column("day").to_numpy().astype(np.int64)
    period = (day.max() - day) // period_days
    periods = int(period.max()) + 1
    if periods < members:
        return np.arange(len(day)) % members
    # Short records have short turns, so that each member leaves out several.
    length = np.clip(periods // (2 * members), 1, _TURN_DAYS // period_days)
    found: NDArray[np.int64] = period // length % members
    return found


def drawn(count: int, most: int, seed: int) -> NDArray[np.bool_]:
    """Mark `most` of `count` rows by chance, or all where there are no more."""
    found = np.arange(count) < most
    if count > most:
        np.random.default_rng(seed).shuffle(found)
    return found


def _brisk(
    laid_out: Panel, at: int, steady: NDArray[np.int64], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw series, those that sold more the more often: there are fewer of them.

    Source: weighted sampling without replacement by Efraimidis and Spirakis (2006).
    """
    recent = (
        laid_out.units[steady, max(at - _STEADY_PERIODS[laid_out.grain.freq], 0) : at].mean(axis=1)
        / THOUSANDTHS
    )
    keys = rng.exponential(size=len(steady)) / np.sqrt(recent + 0.2)
    return np.sort(steady[np.argsort(keys, kind="stable")[:most]])


def _steady(laid_out: Panel, at: int) -> NDArray[np.int64]:
    """Rows of the series that sold regularly before a column."""
    seen = min(_STEADY_PERIODS[laid_out.grain.freq], at)
    recent = laid_out.units[:, at - seen : at].sum(axis=1)
    return np.flatnonzero(recent >= UNITS_A_PERIOD[laid_out.grain.freq] * seen * 1000)
