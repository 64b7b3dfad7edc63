"""Demand features: a dataset, a grain and an instant in, one row per series and period out.

Training, scoring and publishing use the same function. The first word of a feature's name gives
its subject: level, trend, season, holiday, promotion, price, covariate or group.
"""

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from narwhals.typing import IntoFrame

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.annual_features import annual_columns
from features.demand.grain import Grain
from features.demand.lag_weights import DECAYS, divide_or_zero, lag_weights
from features.demand.opening_features import opening_columns
from features.demand.panel import Origin, Panel, panel
from features.demand.plan_ends import NEVER
from features.demand.plan_features import covariate_columns, price_columns, promotion_columns
from features.demand.seasonal_features import season_columns, weekday_columns
from features.demand.series import THOUSANDTHS, all_series
from features.demand.statistical_forecasts import History, member_columns
from features.demand.year_before import YEAR_DAYS
from features.discontinued import discontinued_products
from features.typing import Floats, Frame, Ints

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

# Days before the origin of which features other than those of the year before read.
LOOKBACK_DAYS = 364
# Least level, in units per period: forecasts are multiples of the level.
LOWEST_LEVEL = 0.02

# A series with a first sale within so many periods is young.
_YOUNG = 3
# Windows of features, in periods.
_WINDOWS = {
    "day": (7, 14, 28, 56, 112, 364),
    "week": (1, 2, 4, 8, 13, 26, 52),
    "month": (1, 2, 3, 6, 12),
}
_TREND = {"day": (28, 112), "week": (4, 13), "month": (1, 4)}


def demand(
    dataset: Dataset,
    grain: Grain,
    as_of: AsOf,
    horizon_days: int,
    series: IntoFrame | None = None,
    *,
    country: str = "US",
) -> nw.LazyFrame[pl.LazyFrame]:
    """Compute the features of each series and period of the horizon.

    Sales count up to the day before `as_of`. Promotions, prices and covariates that are known
    ahead are plans and count in full; a promotion changes the features of the periods that it
    covers and of no others. After the last booked day promotions are unknown and their features
    missing (`plan_ends`). `scenario.apply_plan` gives a dataset with another plan.

    Parameters
    ----------
    dataset, grain, as_of
        The records, the definition of a series, and the instant; period 0 begins on its day.
    horizon_days
        Length of the horizon in days: a multiple of the grain's period.
    series
        Series to compute, in the grain's key columns; by default all with a sale.
    country
        ISO code of the country whose public holidays apply where a location has no other.

    Returns
    -------
    narwhals.LazyFrame
        The grain's keys, `day` (first day of the period), `step` (0 is the first period),
        `sold_periods` (those of the last year with a sale), `open_share` (of the period) and
        `closed_by` (why it is less than 1, see `closures`), `plan_until` (the first day on which
        promotions are unknown; null if there never were any), `level_now` (units per period, the
        least for a discontinued product; with `weekday_factor`, that of the weekday, 1 for weeks,
        of a month its length over the mean; per open period), then the features; sorted by keys
        and step. Series without a sale before `as_of` have no row.

    Raises
    ------
    InvalidInput
        If the horizon is not a multiple of the period.
    MissingData
        If the records lack a key of the grain.
    """
    origin, steps = to_day(as_of), grain.periods(horizon_days)
    index = select_series(dataset, grain, origin, series)
    arrays = panel(dataset, grain, origin, past_periods(grain), steps, index)
    rows = np.repeat(np.arange(index.height), steps)
    step = np.tile(np.arange(steps), index.height)
    features = compute_features(arrays, arrays.past, rows, step, country)
    if "product_id" in grain.keys:
        # Weighted means of past sales forget a level only slowly.
        gone = pl.col("product_id").is_in(discontinued_products(dataset, origin).implode())
        least = LOWEST_LEVEL * grain.days / 7
        features = features.with_columns(level_now=pl.when(gone).then(least).otherwise("level_now"))
    return nw.from_native(features.lazy())


def select_series(
    dataset: Dataset, grain: Grain, origin: int, series: IntoFrame | None = None
) -> pl.DataFrame:
    """Select series with a sale before a day, by default all: rows of `all_series`."""
    index: Frame = all_series(dataset, grain).index.filter(nw.col("first_day") < origin)
    selected = index.collect().to_polars()
    if series is not None:
        native = nw.from_native(series).lazy().collect().to_polars()
        keys = list(grain.keys)
        selected = selected.join(native.select(keys).unique(), on=keys, how="semi")
    return selected.sort(grain.keys)


def past_periods(grain: Grain) -> int:
    """Count the past periods that features read: a year, and the year before with a margin."""
    return (LOOKBACK_DAYS + YEAR_DAYS + 8 * 7) // grain.days


def compute_features(
    arrays: Panel, column: int, rows: Ints, steps: Ints, country: str
) -> pl.DataFrame:
    """Compute the features of pairs of a series and a period after a column of a panel.

    Parameters
    ----------
    arrays
        The series.
    column
        The column that begins at the origin; columns before it are the past.
    rows, steps
        The pairs: row of the panel, and period counted from the origin.
    country
        ISO code of the country whose public holidays apply where a location has no other.
    """
    calendar = arrays.calendars[rows].fill_null(country)
    parts, positions = [], []
    for name in calendar.unique().sort().to_list() or [country]:
        position = (calendar == name).arg_true().to_numpy()
        parts.append(_features(arrays, column, rows[position], steps[position], name))
        positions.append(position)
    if len(parts) == 1:
        return parts[0]
    return pl.concat(parts, how="diagonal")[np.argsort(np.concatenate(positions))]


def _features(arrays: Panel, column: int, rows: Ints, steps: Ints, calendar: str) -> pl.DataFrame:
    """Compute the features of pairs whose holidays are those of one calendar."""
    series_rows, inverse = np.unique(rows, return_inverse=True)
    origin, means = _origin(arrays, column, series_rows)
    columns: dict[str, Floats] = {
        name: values[inverse] for name, values in _series_features(origin, means).items()
    }
    opened, closed_columns = opening_columns(origin, steps, inverse, calendar)
    columns |= closed_columns
    columns |= season_columns(origin, steps, calendar)
    if arrays.grain.freq == "day":
        columns |= weekday_columns(origin, steps, inverse)
    columns |= annual_columns(origin, steps, inverse, calendar)
    columns |= promotion_columns(origin, steps, inverse)
    columns |= price_columns(origin, steps, inverse)
    columns |= covariate_columns(origin, steps, inverse)
    groups = {
        f"group_{name}": arrays.index.get_column(column)[rows]
        for name, column in _group_columns(arrays).items()
    }
    features = {
        name: values if isinstance(values, pl.Series) else values.astype(np.float32)
        for name, values in sorted((columns | groups).items())
    }
    members = member_columns(_history(arrays, column, series_rows), steps, inverse)
    length = arrays.lengths[column + steps]
    members = {name: values * length for name, values in members.items()}
    weekday = columns.get("season_weekday_own", length)
    leading = _leading_columns(origin, rows, steps, inverse, weekday)
    return pl.DataFrame(leading | opened | members | features)


def _group_columns(arrays: Panel) -> dict[str, str]:
    """Return the columns of the index that group series, by name: its groups and coarser keys."""
    names = arrays.index.columns
    groups = {name[3:]: name for name in names if name.startswith(("in_", "at_"))}
    return groups | {key: key for key in arrays.grain.keys if key != "product_id"}


def _history(arrays: Panel, column: int, rows: Ints) -> History:
    """Return units per available period of some series before a column."""
    window = slice(max(column - past_periods(arrays.grain), 0), column)
    units, availability = arrays.units[rows, window], arrays.availability[rows, window]
    observed = np.divide(
        units, availability, out=np.full_like(units, np.nan), where=availability > 0
    )
    return History(observed / THOUSANDTHS, arrays.grain.days)


def _origin(arrays: Panel, column: int, rows: Ints) -> tuple[Origin, dict[str, Floats]]:
    """Compute the level and the means of past sales of some series at a column."""
    grain = arrays.grain
    window = slice(max(column - LOOKBACK_DAYS // grain.days, 0), column)
    units, availability = arrays.units[rows, window], arrays.availability[rows, window]
    weights, names = _weights(grain, units.shape[1])
    sums, observed = units @ weights / THOUSANDTHS, availability @ weights
    means = dict(zip(names, divide_or_zero(sums, observed).T, strict=True))
    level = np.maximum((means["middle"] + means["slow"]) / 2, LOWEST_LEVEL)
    # Windows without an observable period take the level instead of zero; those of a young series
    # stay zero, because they lie before its first sale.
    first_day = arrays.index.get_column("first_day").to_numpy()[rows]
    established = first_day < arrays.day(column) - _YOUNG * grain.days
    means = {
        name: np.where((observed[:, number] == 0) & established, level, means[name])
        for number, name in enumerate(names)
    }
    return Origin(arrays, column, rows, units, availability, level), means


def _leading_columns(
    origin: Origin, rows: Ints, steps: Ints, inverse: Ints, weekday: Floats
) -> dict[str, Any]:
    """Return the columns before the features; see `demand`."""
    arrays, grain = origin.panel, origin.panel.grain
    day = arrays.day(origin.column)
    return {
        **{key: arrays.index.get_column(key)[rows] for key in grain.keys},
        "day": grain.shift(day, steps).astype(np.int32),
        "step": steps,
        "sold_periods": (origin.units > 0).sum(axis=1)[inverse],
        "plan_until": _plan_until(arrays, rows),
        "level_now": origin.level[inverse],
        "weekday_factor": weekday,
    }


def _plan_until(arrays: Panel, rows: Ints) -> pl.Series:
    until = np.full(len(rows), NEVER) if arrays.plan_until is None else arrays.plan_until[rows]
    return pl.Series(until, dtype=pl.Int32).replace(NEVER, None)


def _weights(grain: Grain, length: int) -> tuple[Floats, list[str]]:
    """Return integer weights, shape (past periods, means), oldest first, and names of the means."""
    lag = np.arange(length, 0, -1)
    table = lag_weights(grain, length)
    columns = {name: table[name] for name in DECAYS[grain.freq]}
    columns |= {f"mean_{w}": (lag <= w).astype(np.float64) for w in _WINDOWS[grain.freq]}
    return np.column_stack(list(columns.values())), list(columns)


def _series_features(origin: Origin, means: dict[str, Floats]) -> dict[str, Floats]:
    """Compute the features that do not depend on the target period, by series."""
    grain, level = origin.panel.grain, origin.level
    columns = {f"trend_{name}": values / level for name, values in means.items()}
    columns["level_log"] = np.log(level)
    short, long = _TREND[grain.freq]
    for group, (totals, row) in origin.panel.totals.items():
        now, past = (_mean_total(origin, totals, length) for length in (short, long))
        columns[f"trend_{group}"] = divide_or_zero(now, past)[row[origin.rows]]
    return columns


def _mean_total(origin: Origin, totals: Floats, length: int) -> Floats:
    """Return the mean of the last `length` periods of each total, per open period."""
    last = slice(max(origin.column - length, 0), origin.column)
    open_periods = np.full(len(totals), origin.panel.chain_availability[last].sum())
    return divide_or_zero(totals[:, last].sum(axis=1), open_periods)
