"""A dataset, a grain and an instant in, one row a series and future period with features out.

Read by the demand model when it is trained, scored and published: one function for all three.
The first word of a feature's name says what it tells: level, trend, season, holiday, promotion,
price, covariate or group.
"""

import narwhals as nw
import numpy as np
import polars as pl
from narwhals.typing import IntoFrame
from numpy.typing import NDArray

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.lag_weights import DECAYS, divide_or_zero, lag_weights
from features.demand.panel import Origin, Panel, panel
from features.demand.plan_features import covariate_columns, price_columns, promotion_columns
from features.demand.seasonal_features import season_columns, weekday_columns
from features.demand.series import THOUSANDTHS, all_series
from features.typing import Floats, Frame

PREFIXES = (
    "level_",
    "trend_",
    "season_",
    "holiday_",
    "promotion_",
    "price_",
    "covariate_",
    "group_",
)

# Sales this far back still count; the year before that tells the season.
LOOKBACK_DAYS = 364
YEAR_DAYS = 364
# Forecasts are multiples of a series' level; a series that has stopped selling has this one.
LOWEST_LEVEL = 0.02

# The periods that are told one by one: series no older than these are young.
_YOUNG = 3
_WINDOWS = {"day": (7, 14, 28, 56, 112, 364), "week": (1, 2, 4, 8, 13, 26, 52)}
_SHARES = {"day": (28, 112), "week": (8, 26)}
_SPREAD = {"day": 56, "week": 13}
_TREND = {"day": (28, 112), "week": (4, 13)}


def demand(
    dataset: Dataset,
    grain: Grain,
    as_of: AsOf,
    horizon_days: int,
    series: IntoFrame | None = None,
    *,
    country: str = "US",
) -> nw.LazyFrame[pl.LazyFrame]:
    """Describe what is known at `as_of` of the demand in each period of the horizon.

    Sales count up to the day before `as_of`; promotions, prices and covariates that are known
    ahead are plans, and count as far as they reach. Another plan is a dataset with other rows
    in those tables for days from `as_of` on; a promotion moves the periods that it covers and
    no others.

    Parameters
    ----------
    dataset, grain, as_of
        The records, what a series is, and the instant; period 0 begins on its day.
    horizon_days
        How far ahead, in days: a multiple of the grain's period.
    series
        The series wanted, in the grain's key columns; by default all that have sold.
    country
        ISO code of the country whose public holidays count.

    Returns
    -------
    narwhals.LazyFrame
        The grain's keys, `day` (first day of the period), `step` (0 is the first period),
        `age` (periods since the first sale), `sold_periods` (of the last year's), `level_now`
        (units a period) and `habit_now` (the weekday's share of it, 1 is usual; 1 for weeks),
        then the features; sorted by keys and step. Series without a sale before `as_of` have
        no row.

    Raises
    ------
    InvalidInput
        If the horizon is not a multiple of the period.
    MissingData
        If the records lack a key of the grain.
    """
    origin, steps = to_day(as_of), grain.periods(horizon_days)
    index = select_series(dataset, grain, origin, series)
    laid_out = panel(dataset, grain, origin, past_periods(grain), steps, index)
    rows = np.repeat(np.arange(index.height), steps)
    step = np.tile(np.arange(steps), index.height)
    frame = compute_features(laid_out, laid_out.past, rows, step, country)
    return nw.from_native(frame.lazy())


def select_series(
    dataset: Dataset, grain: Grain, origin: int, series: IntoFrame | None = None
) -> pl.DataFrame:
    """Select series that have sold before a day, by default all: rows of `all_series`."""
    index: Frame = all_series(dataset, grain).index.filter(nw.col("first_day") < origin)
    found = index.collect().to_polars()
    if series is not None:
        native = nw.from_native(series).lazy().collect().to_polars()
        keys = list(grain.keys)
        found = found.join(native.select(keys).unique(), on=keys, how="semi")
    return found.sort(grain.keys)


def past_periods(grain: Grain) -> int:
    """Count the periods that are read before an instant: a year, and as much to compare it with."""
    return (LOOKBACK_DAYS + YEAR_DAYS + 8 * 7) // grain.days


def compute_features(
    laid_out: Panel,
    at: int,
    rows: NDArray[np.int64],
    steps: NDArray[np.int64],
    country: str,
) -> pl.DataFrame:
    """Describe pairs of a series and a period after the column `at` of a panel.

    Parameters
    ----------
    laid_out
        The series; columns before `at` are the past.
    at
        The column that begins at the instant.
    rows, steps
        The pairs: row of the panel, and period counted from `at`.
    country
        ISO code of the country whose public holidays count.
    """
    grain = laid_out.grain
    here, back = np.unique(rows, return_inverse=True)
    longest = LOOKBACK_DAYS // grain.days
    window = slice(max(at - longest, 0), at)
    units, is_open = laid_out.units[here, window], laid_out.availability[here, window]
    weights, names = _weights(grain, units.shape[1])
    sums, seen = units @ weights / THOUSANDTHS, is_open @ weights
    means = dict(zip(names, divide_or_zero(sums, seen).T, strict=True))
    level = np.maximum((means["middle"] + means["slow"]) / 2, LOWEST_LEVEL)
    # When a series could not sell, it is taken to have sold as usual, not nothing; of young ones
    # an unseen period is one before their first sale.
    first_day = laid_out.index.get_column("first_day").to_numpy()[here]
    begun = first_day < laid_out.day(at) - _YOUNG * grain.days
    means = {
        name: np.where((seen[:, place] == 0) & begun, level, means[name])
        for place, name in enumerate(names)
    }
    origin = Origin(laid_out, at, here, units, is_open, level)

    own = _at_origin(origin, means)
    columns = {name: values[back] for name, values in own.items()}
    columns |= season_columns(origin, steps, back, country)
    if grain.freq == "day":
        columns |= weekday_columns(origin, steps, back)
    columns |= promotion_columns(origin, steps, back)
    columns |= price_columns(origin, steps, back)
    columns |= covariate_columns(origin, steps, back)
    index = laid_out.index
    groups = {
        f"group_{name[3:]}": index.get_column(name)[rows]
        for name in index.columns
        if name.startswith("in_")
    }
    age = (laid_out.day(at) - index.get_column("first_day").to_numpy()[rows] - 1) // grain.days + 1
    first = {
        **{key: index.get_column(key)[rows] for key in grain.keys},
        "day": (laid_out.day(at) + steps * grain.days).astype(np.int32),
        "step": steps,
        "age": age,
        "sold_periods": (units > 0).sum(axis=1)[back],
        "level_now": level[back],
        "habit_now": columns.get("season_weekday_own", np.ones(len(steps))),
    }
    features = {
        name: values if isinstance(values, pl.Series) else values.astype(np.float32)
        for name, values in sorted((columns | groups).items())
    }
    return pl.DataFrame(first | features)


def _weights(grain: Grain, length: int) -> tuple[Floats, list[str]]:
    """Whole-number weight of each past period, oldest first, in each mean at the origin."""
    lag = np.arange(length, 0, -1)
    table = lag_weights(grain, length)
    columns = {name: table[name] for name in DECAYS[grain.freq]}
    columns |= {f"mean_{w}": (lag <= w).astype(np.float64) for w in _WINDOWS[grain.freq]}
    columns |= {f"last_{k}": (lag == k).astype(np.float64) for k in range(1, _YOUNG + 1)}
    return np.column_stack(list(columns.values())), list(columns)


def _at_origin(origin: Origin, means: dict[str, Floats]) -> dict[str, Floats]:
    """Describe each series at the origin: levels, trends, spread, gaps."""
    grain, level = origin.panel.grain, origin.level
    length = origin.units.shape[1]
    columns = {f"trend_{name}": values / level for name, values in means.items()}
    sold = origin.units > 0
    for w in _SHARES[grain.freq]:
        seen = origin.availability[:, -w:].sum(axis=1)
        columns[f"level_sold_{w}"] = divide_or_zero(
            sold[:, -w:].sum(axis=1).astype(np.float64), seen
        )
    recent, seen = (
        origin.units[:, -_SPREAD[grain.freq] :],
        origin.availability[:, -_SPREAD[grain.freq] :],
    )
    count = seen.sum(axis=1)
    mean = divide_or_zero(recent.sum(axis=1) / THOUSANDTHS, count)
    square = divide_or_zero(
        np.floor(recent * recent / THOUSANDTHS).sum(axis=1) / THOUSANDTHS, count
    )
    columns["level_spread"] = np.sqrt(np.maximum(square - mean * mean, 0.0)) / level
    newest = length - 1 - np.argmax(sold[:, ::-1], axis=1) if length else np.zeros(0)
    # Periods since the last sale in which there could have been another.
    since = (origin.availability * (np.arange(length)[None, :] > newest[:, None])).sum(axis=1) + 1
    columns["trend_gap"] = np.where(sold.any(axis=1), since, length + 1)
    first = origin.panel.index.get_column("first_day").to_numpy()[origin.rows]
    age = (origin.panel.day(origin.column) - first - 1) // grain.days + 1
    columns["trend_age"] = np.minimum(age, 2 * 364 // grain.days)
    columns["level_log"] = np.log(level)
    short, long = _TREND[grain.freq]
    for group, (totals, which) in origin.panel.totals.items():
        now = totals[:, max(origin.column - short, 0) : origin.column].mean(axis=1)
        past = totals[:, max(origin.column - long, 0) : origin.column].mean(axis=1)
        columns[f"trend_{group}"] = divide_or_zero(now, past)[which[origin.rows]]
    return columns
