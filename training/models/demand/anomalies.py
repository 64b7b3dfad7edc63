"""Forecasts made without knowing what came in, days and weeks that were not as expected out.

A period is an anomaly where sales left a band that ordinary periods leave rarely: the tails
of the forecast's distribution, stretched by how wide forecasts proved to be. Beside it stands
what is likely to have happened.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.calendar_features import season
from features.demand.grain import Grain
from features.demand.series import all_series
from features.demand.stockouts import out_of_stock
from features.typing import Floats
from training.models.demand.distribution import LEVELS, level_name
from training.models.demand.historical_forecasts import APART

# The share of ordinary periods that are reported although nothing was the matter.
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
_Z = stats.norm.ppf(LEVELS)
# A place that should have sold so much and sold nothing was closed.
_CLOSED_UNITS = 20.0
# A series that should have sold so much and sold nothing was out of stock, or not on the shelf.
_EMPTY_UNITS = 3.0
# A share of the period on promotion that counts as promoted.
_PROMOTED = 0.1
# A place as a whole is out of the ordinary beyond so many of its usual deviations.
_PLACE_Z = 4.0


@dataclass(frozen=True)
class Band:
    """How far ordinary periods stray from their forecasts, on the scale of a normal distribution.

    Attributes
    ----------
    centre, spread
        Of the strays; 0 and 1 where forecasts are calibrated.
    bound
        Strays beyond it, in spreads from the centre, are anomalies.
    """

    centre: float
    spread: float
    bound: float

    @classmethod
    def fit(cls, strays: Floats, false_alarms: float) -> "Band":
        """Measure on the middle four fifths: what is out of the ordinary is not to widen it."""
        low, high = np.quantile(strays, (0.1, 0.9))
        spread = max(float(high - low) / (2 * float(stats.norm.ppf(0.9))), 0.5)
        bound = float(stats.norm.ppf(1 - false_alarms / 2))
        return cls(float(low + high) / 2, spread, bound)


def near(past: Iterable[pl.DataFrame], grain: Grain) -> pl.DataFrame:
    """Keep of the frames of `HistoricalForecasts.look_back` what anomalies are looked for in.

    That is each steady series' periods from one origin to the next: each is forecast once.
    """
    apart = APART[grain.freq]
    kept = [frame.filter(pl.col("steady"), pl.col("step") < apart) for frame in past]
    return pl.concat(kept).drop("steady", "sampled")


def anomalies(
    dataset: Dataset,
    grain: Grain,
    country: str,
    past: pl.DataFrame,
    false_alarms: float = FALSE_ALARMS,
) -> pl.DataFrame:
    """Find the periods that were not as expected.

    Parameters
    ----------
    dataset, grain, country
        The stock table and the holidays tell why.
    past
        As of `near`.
    false_alarms
        The share of ordinary periods that may be reported.

    Returns
    -------
    polars.DataFrame
        The grain's keys, `date`, `units` (sold), `mean` (expected), `low` and `high` (the
        band), `size` (units - mean), `score` (how far out, where ordinary periods have a
        spread of 1), `reason` and `series`: a closure is one row, with null for the product,
        that stands for so many series. The largest size first.
    """
    if past.is_empty():
        return _laid_out(past, grain).with_columns(pl.lit(1).alias("series"))
    strays = _strays(past)
    band = Band.fit(strays, false_alarms)
    score = (strays - band.centre) / band.spread
    low, high = (_at(past, band.centre + side * band.bound * band.spread) for side in (-1, 1))
    told = past.with_columns(
        pl.Series("score", score), pl.Series("low", low), pl.Series("high", high)
    )
    told = _with_place(told, grain)
    told = told.with_columns(
        _holiday(told, grain, country),
        _empty(dataset, grain, told),
        size=pl.col("units") - pl.col("mean"),
    )
    closed = told.filter("closed")
    single = told.filter(~pl.col("closed"), pl.col("score").abs() > band.bound)
    single = single.with_columns(_reason().alias("reason"), series=pl.lit(1))
    whole = _closures(closed, grain)
    found = pl.concat([_laid_out(single, grain, "series"), _laid_out(whole, grain, "series")])
    return found.sort(
        pl.col("size").abs(),
        *grain.keys,
        "date",
        descending=[True, *[False] * (len(grain.keys) + 1)],
    )


def _laid_out(frame: pl.DataFrame, grain: Grain, *more: str) -> pl.DataFrame:
    numbers = ("low", "high", "size", "score")
    lacking = [pl.lit(None, dtype=pl.Float64).alias(n) for n in numbers if n not in frame.columns]
    if "reason" not in frame.columns:
        lacking.append(pl.lit(None, dtype=pl.String).alias("reason"))
    names = [*grain.keys, "date", "units", "mean", *numbers, "reason", *more]
    return frame.with_columns(lacking).select(names)


def _grid(past: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return quantiles, and by how many units a stray of one grows below and above them."""
    grid = past.select(map(level_name, LEVELS)).to_numpy()
    quarter, three = LEVELS.index(0.25), LEVELS.index(0.75)
    least = 0.25 + 0.25 * np.sqrt(past.get_column("mean").to_numpy())
    below = (grid[:, quarter] - grid[:, 0]) / (_Z[quarter] - _Z[0])
    above = (grid[:, -1] - grid[:, three]) / (_Z[-1] - _Z[three])
    return grid, np.maximum(below, least), np.maximum(above, least)


def _strays(past: pl.DataFrame) -> Floats:
    """Say where in its forecast's distribution each outcome lies, as a normal deviate."""
    grid, below, above = _grid(past)
    units = past.get_column("units").to_numpy()
    # Of equal quantiles the highest counts: to sell nothing is ordinary where q30 is nothing.
    right = (grid <= units[:, None]).sum(axis=1)
    left = np.clip(right - 1, 0, len(LEVELS) - 1)
    right = np.minimum(right, len(LEVELS) - 1)
    rows = np.arange(len(units))
    span = grid[rows, right] - grid[rows, left]
    share = np.divide(units - grid[rows, left], span, out=np.zeros_like(units), where=span > 0)
    found: Floats = _Z[left] + np.clip(share, 0, 1) * (_Z[right] - _Z[left])
    found = np.where(units < grid[:, 0], _Z[0] - (grid[:, 0] - units) / below, found)
    return np.where(units > grid[:, -1], _Z[-1] + (units - grid[:, -1]) / above, found)


def _at(past: pl.DataFrame, stray: float) -> Floats:
    """Return the units that are a stray away."""
    grid, below, above = _grid(past)
    if stray <= _Z[0]:
        found: Floats = grid[:, 0] - (_Z[0] - stray) * below
    elif stray >= _Z[-1]:
        found = grid[:, -1] + (stray - _Z[-1]) * above
    else:
        right = int(np.searchsorted(_Z, stray))
        share = (stray - _Z[right - 1]) / (_Z[right] - _Z[right - 1])
        found = (1 - share) * grid[:, right - 1] + share * grid[:, right]
    return np.maximum(found, 0.0)


def _with_place(told: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Add how each place, or the chain, did as a whole: `closed` and `place` (a deviate)."""
    where = list(grain.location_keys)
    sums = told.group_by(*where, "date").agg(
        pl.col("units").sum().alias("sold"), pl.col("mean").sum().alias("due"), pl.len()
    )
    ratio = ((pl.col("sold") + 1) / (pl.col("due") + 1)).log()
    sums = sums.with_columns(ratio.alias("ratio"))
    over = where or pl.lit(1)
    middle = pl.col("ratio").median().over(over)
    spread = 1.4826 * (pl.col("ratio") - middle).abs().median().over(over)
    # A place of few units strays by chance.
    by_chance = 1 / (pl.col("due") + 1).sqrt()
    sums = sums.with_columns(
        ((pl.col("ratio") - middle) / pl.max_horizontal(spread, by_chance)).alias("place"),
        ((pl.col("sold") == 0) & (pl.col("due") >= _CLOSED_UNITS) & (pl.col("len") > 1)).alias(
            "closed"
        ),
    )
    return told.join(
        sums.select(*where, "date", "place", "closed"),
        on=[*where, "date"],
        how="left",
        maintain_order="left",
    )


def _holiday(told: pl.DataFrame, grain: Grain, country: str) -> pl.Series:
    """Say whether a holiday falls into the period or on the day after it."""
    days = told.get_column("date").cast(pl.Int32)
    calendar = season(sorted(set(days.to_list())), grain.days, country)
    ahead = dict(zip(calendar["day"], calendar["to_holiday"], strict=True))
    return pl.Series("holiday", [ahead[day] <= grain.days for day in days.to_list()])


def _empty(dataset: Dataset, grain: Grain, told: pl.DataFrame) -> pl.Series:
    """Say whether the stock table shows a part of the period without stock."""
    nothing = pl.Series("out", [False] * told.height)
    day = to_day(told.get_column("date").max())  # type: ignore[arg-type]
    found = out_of_stock(dataset, grain, day)
    if found is None:
        return nothing
    index = all_series(dataset, grain).index.select("series", *grain.keys).collect().to_polars()
    first = (pl.col("block") * grain.days + day % grain.days).cast(pl.Int32).cast(pl.Date)
    cells = found.filter(pl.col("out") > 0).join(index, on="series", how="inner")
    cells = cells.select(*grain.keys, first.alias("date"), pl.lit(value=True).alias("out"))
    key = [*grain.keys, "date"]
    joined = told.select(key).join(cells.unique(key), on=key, how="left", maintain_order="left")
    return joined.get_column("out").fill_null(value=False)


def _reason() -> pl.Expr:
    """Name the likeliest reason, the surest first."""
    fell, silent = pl.col("score") < 0, (pl.col("units") == 0) & (pl.col("mean") >= _EMPTY_UNITS)
    along = (pl.col("place").abs() > _PLACE_Z) & ((pl.col("place") < 0) == fell)
    promoted = pl.col("promoted") > _PROMOTED
    return (
        pl.when(fell & pl.col("out"))
        .then(pl.lit("stock_out"))
        .when("holiday")
        .then(pl.lit("holiday"))
        .when(along)
        .then(pl.lit("event"))
        .when(fell & silent)
        .then(pl.lit("stock_out"))
        .when(~fell & ~promoted)
        .then(pl.lit("promotion_not_recorded"))
        .when(fell & promoted)
        .then(pl.lit("promotion_not_seen"))
        .otherwise(pl.lit("unexplained"))
    )


def _closures(closed: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Make one row of each place and period in which nothing at all was sold."""
    where = list(grain.location_keys)
    rows = closed.group_by(*where, "date").agg(
        *(pl.col(c).sum() for c in ("units", "mean", "low", "high", "size")),
        pl.col("score").min(),
        pl.len().cast(pl.Int32).alias("series"),
    )
    missing = [pl.lit(None, dtype=pl.String).alias(k) for k in grain.keys if k not in where]
    return rows.with_columns(*missing, pl.lit("closure").alias("reason"))
