"""A dataset and an instant in, labelled feature rows of past origins out."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.builder import compute_features, past_periods, select_series
from features.demand.grain import Grain
from features.demand.panel import Panel, known_at, panel
from features.demand.plan_features import without_plan
from features.demand.series import THOUSANDTHS
from features.demand.year_before import YEAR_DAYS
from features.errors import MissingData
from features.typing import Bools, Floats, Ints

# The most rows by default. A day carries less information than a week, so there are more.
ROWS = {"day": 320_000, "week": 80_000, "month": 40_000}
# Origins are a week, or a month, apart over two years: the assortment before that differs too much.
ORIGIN_DAYS = 7
ORIGINS = 104
# Days of past that a series needs before its first origin.
WARM_UP_DAYS = 56
# The least mean sales of a series: slower ones are many and carry little information on size.
MIN_UNITS_PER_PERIOD = {"day": 0.1, "week": 0.25, "month": 1.0}
_RECENT_PERIODS = {"day": 182, "week": 28, "month": 6}
# Share of rows whose plan of promotions is hidden: from them forecasts without one are learned.
HIDDEN_SHARE = 0.15
# Fewer rows than these are too few to fit on.
MIN_ROWS = 100
# The longest run of days, or of months, in one fold.
_MAX_FOLD_RUN_DAYS, _MAX_FOLD_RUN_MONTHS = 28, 4
# The least share of a period in which a series could sell.
_MIN_OPEN_SHARE = 0.5


@dataclass(frozen=True)
class Sample:
    """How training rows are drawn.

    Attributes
    ----------
    rows
        The most rows; the time to fit is proportional to it.
    seed
        Of the choice of series and periods.
    country
        ISO code of the country whose public holidays count.
    """

    rows: int
    seed: int
    country: str


def training_rows(
    dataset: Dataset, grain: Grain, as_of_day: int, horizon_days: int, sample: Sample
) -> pl.DataFrame:
    """Build the features of past origins with `origin` (day) and the label `units`.

    A series takes part at an origin if it sold steadily before that origin. Chosen by later
    sales, the rows would be biased towards series that did better than expected. Periods that
    end after `as_of_day` are left out, and those in which stock had run out. Features are net of
    the returns known at the origin, labels of all that are known at `as_of_day`.

    Raises
    ------
    MissingData
        If the records are too short, or no series sells steadily.
    """
    first, _ = dataset.days
    index = select_series(dataset, grain, as_of_day)
    apart = max(ORIGIN_DAYS, grain.days)
    count = ORIGINS * ORIGIN_DAYS // apart
    length = min(
        grain.between(first, as_of_day), past_periods(grain) + ORIGINS * ORIGIN_DAYS // grain.days
    )
    series = panel(dataset, grain, as_of_day, max(length, 0), 0, index)
    warm_up = -(-WARM_UP_DAYS // grain.days)
    origins = [length - apart * k // grain.days for k in range(1, count + 1)]
    origins = [origin for origin in dict.fromkeys(origins) if origin >= warm_up]
    horizon = grain.periods(horizon_days)
    periods = sum(min(horizon, length - origin) for origin in origins)
    # A share of the periods of more series: periods of one series carry similar information.
    share = min(max(4 / horizon, 0.15), 0.5)
    max_series = max(int(sample.rows / share / max(periods, 1)), 20)
    rng = np.random.default_rng(sample.seed)
    parts = []
    for origin in origins:
        known = known_at(dataset, series, origin)
        rows = _steady(known, origin)
        if len(rows) > max_series:
            rows = _weighted_sample(known, origin, rows, max_series, rng)
        followed = series.units[:, : origin + horizon]
        part = _rows_of_origin(known, followed, origin, rows, share, sample.country, rng)
        if part is not None:
            parts.append(part)
    frame = pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
    if frame.height < MIN_ROWS:
        raise MissingData(
            f"Demand at the grain {grain} has {frame.height} examples in dataset {dataset.name} "
            f"before the instant; it needs {WARM_UP_DAYS} days of records and series that sell "
            "about once a period. Choose a coarser grain or a later date.",
            field="grain",
        )
    return frame


def with_hidden_plans(features: pl.DataFrame, seed: int, draw: int) -> pl.DataFrame:
    """Hide the plan of promotions in a share of rows, as it is after the last booked day.

    Each booster learns from another draw: the mean forecast depends less on which rows they are.
    """
    uniform = np.random.default_rng([seed, draw]).random(features.height)
    return without_plan(features, uniform < HIDDEN_SHARE)


def _rows_of_origin(
    series: Panel,
    followed: Floats,
    origin: int,
    rows: Ints,
    share: float,
    country: str,
    rng: np.random.Generator,
) -> pl.DataFrame | None:
    """Draw a share of the followed periods after an origin column; None where none could sell."""
    ahead = followed.shape[1] - origin
    row, step = np.nonzero(rng.random((len(rows), ahead)) < share)
    rows, column = rows[row], origin + step
    open_share = series.availability[rows, column] / series.lengths[column]
    kept = open_share >= _MIN_OPEN_SHARE
    rows, step, column, open_share = rows[kept], step[kept], column[kept], open_share[kept]
    if not len(rows):
        return None
    units = followed[rows, column] / 1000 / open_share
    return compute_features(series, origin, rows, step, country).with_columns(
        units=pl.Series(units), origin=pl.lit(series.day(origin))
    )


def assign_folds(rows: pl.DataFrame, members: int, period_days: int) -> Ints:
    """Assign each row to the fold of one member, in alternating runs of periods.

    A movement of all series in some weeks is then unseen by one member, as the future is. Where
    there are fewer periods than members, rows alternate instead.
    """
    day = rows.get_column("day").to_numpy().astype(np.int64)
    period = (day.max() - day) // period_days
    periods = int(period.max()) + 1
    if periods < members:
        return np.arange(len(day)) % members
    # Short records have short runs, so that each member leaves out several.
    longest = _MAX_FOLD_RUN_DAYS // period_days or _MAX_FOLD_RUN_MONTHS
    length = int(np.clip(periods // (2 * members), 1, longest))
    # The same season of two years is not left out by one member.
    while length > 1 and YEAR_DAYS // period_days % (length * members) == 0:
        length -= 1
    folds: Ints = period // length % members
    return folds


def sample_mask(count: int, maximum: int, seed: int) -> Bools:
    """Mark `maximum` of `count` rows at random, or all where there are no more."""
    mask = np.arange(count) < maximum
    if count > maximum:
        np.random.default_rng(seed).shuffle(mask)
    return mask


def _weighted_sample(
    series: Panel, origin: int, rows: Ints, count: int, rng: np.random.Generator
) -> Ints:
    """Draw series with a probability that grows with their sales: large ones are few.

    Source: weighted sampling without replacement by Efraimidis and Spirakis (2006).
    """
    first = max(origin - _RECENT_PERIODS[series.grain.freq], 0)
    recent = series.units[rows, first:origin].mean(axis=1) / THOUSANDTHS
    keys = rng.exponential(size=len(rows)) / np.sqrt(recent + 0.2)
    return np.sort(rows[np.argsort(keys, kind="stable")[:count]])


def _steady(series: Panel, origin: int) -> Ints:
    """Return the rows of the series that sold steadily before a column."""
    periods = min(_RECENT_PERIODS[series.grain.freq], origin)
    recent = series.units[:, origin - periods : origin].sum(axis=1)
    return np.flatnonzero(recent >= MIN_UNITS_PER_PERIOD[series.grain.freq] * periods * 1000)
