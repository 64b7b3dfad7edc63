"""How much of a grain is noise: records and a grain in, the least error of any forecast out.

Shown beside what was measured, and used where a grain is chosen: orders arrive by chance even
where their rate is known, so no forecast of a series that sells once a week is right.
"""

from dataclasses import dataclass
from functools import lru_cache

import narwhals as nw
import numpy as np
import polars as pl
from scipy import stats

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import unit_lines, units_matrix, with_attributes
from features.typing import Floats

# The rate of a series is told by this many days.
RATE_DAYS = 182
_MEANS = np.geomspace(1e-3, 1e5, 60)
_RATIOS = np.geomspace(1.0005, 50.0, 10)


@dataclass(frozen=True)
class NoiseFloor:
    """The least error at a grain.

    Attributes
    ----------
    wape
        Weighted absolute percentage error of a forecast that knows each series' mean, if lines
        arrive as a Poisson process (compound Poisson).
    series
        How many series sold in the weeks that tell their rates.
    """

    wape: float
    series: int


def noise_floor(
    dataset: Dataset, grain: Grain, as_of: AsOf, series: pl.DataFrame | None = None
) -> NoiseFloor:
    """Say how much of the demand at a grain is noise, from what was known at `as_of`.

    Parameters
    ----------
    dataset, grain, as_of
        The records, what a series is, and the instant.
    series
        Series in the grain's key columns; by default all that sold in the last 26 weeks.

    Notes
    -----
    With ready sales, which do not tell how many units one buys at a time, units are taken to be
    bought one by one: the floor is then too low rather than too high.
    """
    day, periods = to_day(as_of), RATE_DAYS // grain.days
    sizes = _sizes(dataset, grain, day)
    if series is None:
        series = sizes.select(grain.keys)
    known = series.select(grain.keys).join(sizes, on=grain.keys, how="left", maintain_order="left")
    seen = max(min(periods, (day - dataset.days[0]) // grain.days), 1)
    mean = units_matrix(dataset, grain, day, -seen, known).mean(axis=1)
    ratio = known.get_column("ratio").fill_null(1.0).to_numpy()
    sold = mean > 0
    if not sold.any():
        return NoiseFloor(float("nan"), 0)
    error = _absolute_error(mean[sold], ratio[sold])
    return NoiseFloor(float(error.sum() / mean[sold].sum()), int(sold.sum()))


def _sizes(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame:
    """Return the grain's keys and `ratio`: mean square over mean of the units of a line."""
    recent = unit_lines(dataset).filter(nw.col("day") < day, nw.col("day") >= day - RATE_DAYS)
    one_by_one = dataset.records == "sales"
    # Whole thousandths: sums do not depend on the order of rows.
    units = (nw.col("quantity") * 1000).round().cast(nw.Int64)
    lines = with_attributes(dataset, recent, grain.keys).with_columns(units.alias("units"))
    lines = lines.with_columns((nw.col("units") * nw.col("units")).alias("squares"))
    sums = lines.group_by(*grain.keys).agg(nw.col("units", "squares").sum())
    found = sums.collect().to_polars().drop_nulls(grain.keys)
    ratio = pl.lit(1.0) if one_by_one else pl.col("squares") / pl.col("units") / 1000
    return found.select(*grain.keys, ratio.cast(pl.Float64).alias("ratio")).sort(grain.keys)


@lru_cache(maxsize=1)
def _table() -> Floats:
    """Mean absolute error over the mean's root, by mean and by variance over mean."""
    mean, ratio = np.meshgrid(_MEANS, _RATIOS, indexing="ij")
    size, p = mean / (ratio - 1), 1 / ratio
    middle = stats.nbinom.ppf(0.5, size, p)
    # E|Y - c| from the distribution's own partial mean: E[Y; Y <= c] = mean * F'(c - 1), where
    # F' is of size + 1.
    below = stats.nbinom.cdf(middle, size, p)
    part = mean * stats.nbinom.cdf(middle - 1, size + 1, p)
    error = 2 * (middle * below - part) + mean - middle
    found: Floats = error / np.sqrt(mean)
    return found


def _absolute_error(mean: Floats, ratio: Floats) -> Floats:
    """Mean absolute error around the median of negative binomials."""
    table = _table()
    i = np.interp(np.log(mean), np.log(_MEANS), np.arange(len(_MEANS)))
    j = np.interp(np.log(ratio), np.log(_RATIOS), np.arange(len(_RATIOS)))
    low_i = np.minimum(i.astype(int), len(_MEANS) - 2)
    low_j = np.minimum(j.astype(int), len(_RATIOS) - 2)
    a, b = i - low_i, j - low_j
    value = (
        (1 - a) * (1 - b) * table[low_i, low_j]
        + a * (1 - b) * table[low_i + 1, low_j]
        + (1 - a) * b * table[low_i, low_j + 1]
        + a * b * table[low_i + 1, low_j + 1]
    )
    found: Floats = value * np.sqrt(mean)
    return found
