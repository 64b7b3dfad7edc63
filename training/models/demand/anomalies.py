"""Historical forecasts with outcomes in; periods outside their expected range, with reasons, out.

A period is an anomaly if its sales are outside a band that ordinary periods rarely leave: the
tails of the forecast's distribution, rescaled to the measured spread of residuals.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import ndtri

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.calendar_features import season
from features.demand.closures import closed_periods
from features.demand.grain import Grain
from features.demand.holiday_calendars import holiday_calendars
from features.demand.series import all_series
from features.demand.stockouts import out_of_stock
from features.typing import Floats
from training.models.demand.historical_forecasts import ORIGIN_STEP_PERIODS
from training.models.demand.quantiles import LEVELS, level_name

# The share of ordinary periods that are reported.
FALSE_ALARMS = 0.001
REASONS = (
    "closure",
    "stock_out",
    "holiday",
    "event",
    "promotion_not_recorded",
    "promotion_not_seen",
    "unexplained",
)
_Z = ndtri(LEVELS)
# A series with at least this many expected units and no sales was out of stock.
_STOCK_OUT_UNITS = 3.0
# A period counts as promoted from this planned share on.
_PROMOTED_SHARE = 0.1
# A location's total is unusual beyond so many of its usual deviations.
_LOCATION_Z = 4.0


@dataclass(frozen=True)
class Band:
    """The range of ordinary residuals, on the scale of a normal distribution.

    Attributes
    ----------
    centre, spread
        Of the residuals; 0 and 1 where forecasts are calibrated.
    bound
        Residuals beyond it, in spreads from the centre, are anomalies.
    """

    centre: float
    spread: float
    bound: float

    @classmethod
    def fit(cls, residuals: Floats, false_alarms: float) -> "Band":
        """Fit on the middle 80 % of residuals, so that anomalies do not widen the band."""
        low, high = np.quantile(residuals, (0.1, 0.9))
        spread = max(float(high - low) / (2 * float(ndtri(0.9))), 0.5)
        bound = float(ndtri(1 - false_alarms / 2))
        return cls(float(low + high) / 2, spread, bound)


def without_overlap(past: Iterable[pl.DataFrame], grain: Grain) -> pl.DataFrame:
    """Keep the periods of steady series from one origin to the next: each is forecast once.

    `past` are the frames of `HistoricalForecasts.by_origin`.
    """
    steps = ORIGIN_STEP_PERIODS[grain.freq]
    kept = [frame.filter(pl.col("steady"), pl.col("step") < steps) for frame in past]
    return pl.concat(kept).drop("steady", "sampled")


def detect_anomalies(
    dataset: Dataset,
    grain: Grain,
    country: str,
    past: pl.DataFrame,
    false_alarms: float = FALSE_ALARMS,
) -> pl.DataFrame:
    """Return the periods outside their expected range.

    Parameters
    ----------
    dataset, grain, country
        Their stock table and public holidays are among the reasons; `country` is that of locations
        without one of their own.
    past
        As of `without_overlap`.
    false_alarms
        The share of ordinary periods that are reported.

    Returns
    -------
    polars.DataFrame
        The grain's keys, `date`, `units` (sold), `mean` (expected), `low` and `high` (the
        band), `size` (units - mean), `score` (residual in spreads from the centre), `reason`
        and `series`: a closure is one row, with a null product, for so many series. Sorted by
        absolute size, the largest first.
    """
    if past.is_empty():
        return _select_columns(past, grain).with_columns(pl.lit(1).alias("series"))
    residuals = _residuals(past)
    band = Band.fit(residuals, false_alarms)
    score = (residuals - band.centre) / band.spread
    low, high = (_units_at(past, band.centre + s * band.bound * band.spread) for s in (-1, 1))
    periods = past.with_columns(
        pl.Series("score", score), pl.Series("low", low), pl.Series("high", high)
    )
    periods = _with_location(dataset, periods, grain)
    periods = periods.with_columns(
        _near_holiday(dataset, periods, grain, country),
        _out_of_stock(dataset, grain, periods),
        size=pl.col("units") - pl.col("mean"),
    )
    closures = _closures(periods.filter("closed"), grain)
    single = periods.filter(~pl.col("closed"), pl.col("score").abs() > band.bound)
    single = single.with_columns(_reason().alias("reason"), series=pl.lit(1))
    parts = [_select_columns(frame, grain, "series") for frame in (single, closures)]
    return pl.concat(parts).sort(
        pl.col("size").abs(),
        *grain.keys,
        "date",
        descending=[True, *[False] * (len(grain.keys) + 1)],
    )


def _select_columns(frame: pl.DataFrame, grain: Grain, *further: str) -> pl.DataFrame:
    """Select the columns of anomalies; those that are missing are null."""
    numbers = ("low", "high", "size", "score")
    nulls = [pl.lit(None, dtype=pl.Float64).alias(n) for n in numbers if n not in frame.columns]
    if "reason" not in frame.columns:
        nulls.append(pl.lit(None, dtype=pl.String).alias("reason"))
    names = [*grain.keys, "date", "units", "mean", *numbers, "reason", *further]
    return frame.with_columns(nulls).select(names)


def _tails(past: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return the quantiles, and the units per normal deviate below and above them."""
    grid = past.select(map(level_name, LEVELS)).to_numpy()
    lower, upper = LEVELS.index(0.25), LEVELS.index(0.75)
    minimum = 0.25 + 0.25 * np.sqrt(past.get_column("mean").to_numpy())
    below = (grid[:, lower] - grid[:, 0]) / (_Z[lower] - _Z[0])
    above = (grid[:, -1] - grid[:, upper]) / (_Z[-1] - _Z[upper])
    return grid, np.maximum(below, minimum), np.maximum(above, minimum)


def _residuals(past: pl.DataFrame) -> Floats:
    """Return the position of each outcome in its forecast's distribution, as a normal deviate."""
    grid, below, above = _tails(past)
    units = past.get_column("units").to_numpy()
    # Of equal quantiles the highest counts: no sales are ordinary where q30 is zero.
    right = (grid <= units[:, None]).sum(axis=1)
    left = np.clip(right - 1, 0, len(LEVELS) - 1)
    right = np.minimum(right, len(LEVELS) - 1)
    rows = np.arange(len(units))
    span = grid[rows, right] - grid[rows, left]
    share = np.divide(units - grid[rows, left], span, out=np.zeros_like(units), where=span > 0)
    inside: Floats = _Z[left] + np.clip(share, 0, 1) * (_Z[right] - _Z[left])
    lower = np.where(units < grid[:, 0], _Z[0] - (grid[:, 0] - units) / below, inside)
    return np.where(units > grid[:, -1], _Z[-1] + (units - grid[:, -1]) / above, lower)


def _units_at(past: pl.DataFrame, residual: float) -> Floats:
    """Return the units at a residual in each forecast's distribution, at least zero."""
    grid, below, above = _tails(past)
    if residual <= _Z[0]:
        units: Floats = grid[:, 0] - (_Z[0] - residual) * below
    elif residual >= _Z[-1]:
        units = grid[:, -1] + (residual - _Z[-1]) * above
    else:
        right = int(np.searchsorted(_Z, residual))
        share = (residual - _Z[right - 1]) / (_Z[right] - _Z[right - 1])
        units = (1 - share) * grid[:, right - 1] + share * grid[:, right]
    return np.maximum(units, 0.0)


def _with_location(dataset: Dataset, periods: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Add `closed`, unexpectedly, and `location_z`, the deviation of the location's total."""
    where = list(grain.location_keys)
    sums = periods.group_by(*where, "date").agg(pl.col("units").sum(), pl.col("mean").sum())
    ratio = ((pl.col("units") + 1) / (pl.col("mean") + 1)).log()
    sums = sums.with_columns(ratio.alias("ratio"))
    over = where or pl.lit(1)
    median = pl.col("ratio").median().over(over)
    # 1.4826 times the median absolute deviation estimates a normal standard deviation.
    spread = 1.4826 * (pl.col("ratio") - median).abs().median().over(over)
    # The deviation of a location with few units is at least that of a Poisson count.
    poisson = 1 / (pl.col("mean") + 1).sqrt()
    phase = grain.phase(to_day(periods.get_column("date").min()))  # type: ignore[arg-type]
    closures = closed_periods(dataset, grain, phase).with_columns(closed=pl.lit(value=True))
    sums = sums.join(closures, on=[*where, "date"], how="left", maintain_order="left")
    sums = sums.with_columns(
        ((pl.col("ratio") - median) / pl.max_horizontal(spread, poisson)).alias("location_z"),
        pl.col("closed").fill_null(value=False) & (pl.col("mean") > 0),
    )
    return periods.join(
        sums.select(*where, "date", "location_z", "closed"),
        on=[*where, "date"],
        how="left",
        maintain_order="left",
    )


def _near_holiday(dataset: Dataset, periods: pl.DataFrame, grain: Grain, country: str) -> pl.Series:
    """Return `holiday`: whether one falls into the period or on the day after it."""
    own = holiday_calendars(dataset, periods).fill_null(country)
    rows = periods.select(pl.col("date").cast(pl.Int32).alias("day"), own)
    days = rows.get_column("day").unique().sort().to_list()
    near = (pl.col("to_holiday") <= grain.days).alias("holiday")
    seasons = pl.concat(
        season(days, grain.days, calendar).select("day", near, calendar=pl.lit(calendar))
        for calendar in own.unique().sort()
    )
    joined = rows.join(seasons, on=["day", "calendar"], how="left", maintain_order="left")
    return joined.get_column("holiday")


def _out_of_stock(dataset: Dataset, grain: Grain, periods: pl.DataFrame) -> pl.Series:
    """Return `out`: whether the stock table shows a part of the period without stock."""
    day = to_day(periods.get_column("date").max())  # type: ignore[arg-type]
    stockouts = out_of_stock(dataset, grain, day)
    if stockouts is None:
        return pl.Series("out", [False] * periods.height)
    index = all_series(dataset, grain).index.select("series", *grain.keys).collect().to_polars()
    first = grain.start(pl.col("block"), grain.phase(day)).cast(pl.Int32).cast(pl.Date)
    cells = stockouts.filter(pl.col("out") > 0).join(index, on="series", how="inner")
    cells = cells.select(*grain.keys, first.alias("date"), pl.lit(value=True).alias("out"))
    key = [*grain.keys, "date"]
    joined = periods.select(key).join(cells.unique(key), on=key, how="left", maintain_order="left")
    return joined.get_column("out").fill_null(value=False)


def _reason() -> pl.Expr:
    """Return the likeliest reason, the most certain first."""
    fell = pl.col("score") < 0
    no_sales = (pl.col("units") == 0) & (pl.col("mean") >= _STOCK_OUT_UNITS)
    location = pl.col("location_z")
    with_location = (location.abs() > _LOCATION_Z) & ((location < 0) == fell)
    promoted = pl.col("promoted") > _PROMOTED_SHARE
    return (
        pl.when(fell & pl.col("out"))
        .then(pl.lit("stock_out"))
        .when("holiday")
        .then(pl.lit("holiday"))
        .when(with_location)
        .then(pl.lit("event"))
        .when(fell & no_sales)
        .then(pl.lit("stock_out"))
        .when(~fell & ~promoted)
        .then(pl.lit("promotion_not_recorded"))
        .when(fell & promoted)
        .then(pl.lit("promotion_not_seen"))
        .otherwise(pl.lit("unexplained"))
    )


def _closures(closed: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Return a row per location and period without any sales, in place of its series."""
    where = list(grain.location_keys)
    rows = closed.group_by(*where, "date").agg(
        *(pl.col(c).sum() for c in ("units", "mean", "low", "high", "size")),
        pl.col("score").min(),
        pl.len().cast(pl.Int32).alias("series"),
    )
    missing = [pl.lit(None, dtype=pl.String).alias(k) for k in grain.keys if k not in where]
    return rows.with_columns(*missing, pl.lit("closure").alias("reason"))
