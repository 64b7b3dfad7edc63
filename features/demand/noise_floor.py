"""Noise floor: records and a grain in, the least error that any forecast can reach out.

Orders arrive at random even if their rate is known, so a forecast of a slow series has an error
that no model removes.
"""

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.closures import opening
from features.demand.grain import Grain
from features.demand.series import unit_lines, units_matrix, with_attributes
from features.typing import Floats

# Days over which the rate of a series is measured.
RATE_DAYS = 182
# Variance over mean is at least this: a negative binomial has more than a Poisson's.
_LEAST_RATIO = 1.0005


@dataclass(frozen=True)
class NoiseFloor:
    """The least expected error at a grain.

    Attributes
    ----------
    wape
        Weighted absolute percentage error, in open periods, of a forecast that knows the mean of
        each series, if order lines arrive as a compound Poisson process.
    series
        Number of series with a sale in the last `RATE_DAYS`.
    """

    wape: float
    series: int


def noise_floor(
    dataset: Dataset, grain: Grain, as_of: AsOf, series: pl.DataFrame | None = None
) -> NoiseFloor:
    """Estimate the noise floor at a grain from the records before `as_of`.

    Parameters
    ----------
    dataset, grain, as_of
        The records, the definition of a series, and the instant.
    series
        Series in the grain's key columns; by default all with a sale in the last 26 weeks.

    Notes
    -----
    The table `sales` has no order lines: one unit per line is assumed, which gives a lower bound.
    """
    day, periods = to_day(as_of), RATE_DAYS // grain.days
    sizes = _sizes(dataset, grain, day)
    if series is None:
        series = sizes.select(grain.keys)
    known = series.select(grain.keys).join(sizes, on=grain.keys, how="left", maintain_order="left")
    observed = max(min(periods, grain.between(dataset.days[0], day)), 1)
    first = int(grain.shift(day, -observed))
    places = opening(dataset, grain, first, day, day)
    open_share, _ = places.share(grain.lengths(first, np.arange(observed)))
    opened = np.maximum(open_share.mean(axis=1), 1 / observed)[places.rows(known)]
    mean = units_matrix(dataset, grain, day, -observed, known).mean(axis=1) / opened
    ratio = np.maximum(known.get_column("ratio").fill_null(1.0).to_numpy(), _LEAST_RATIO)
    sold = mean > 0
    if not sold.any():
        return NoiseFloor(float("nan"), 0)
    error = _absolute_error(mean[sold], ratio[sold])
    return NoiseFloor(float(error.sum() / mean[sold].sum()), int(sold.sum()))


def _sizes(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame:
    """Return the grain's keys and `ratio`: mean square over mean of units per line."""
    recent = unit_lines(dataset).filter(nw.col("day") < day, nw.col("day") >= day - RATE_DAYS)
    # Whole thousandths: sums do not depend on the order of rows.
    units = (nw.col("quantity") * 1000).round().cast(nw.Int64)
    lines = with_attributes(dataset, recent, grain.keys).with_columns(units.alias("units"))
    lines = lines.with_columns((nw.col("units") * nw.col("units")).alias("squares"))
    sums = lines.group_by(*grain.keys).agg(nw.col("units", "squares").sum())
    sizes = sums.collect().to_polars().drop_nulls(grain.keys)
    ratio = pl.col("squares") / pl.col("units") / 1000
    if dataset.records == "sales":
        ratio = pl.lit(1.0)
    return sizes.select(*grain.keys, ratio.cast(pl.Float64).alias("ratio")).sort(grain.keys)


def _absolute_error(mean: Floats, ratio: Floats) -> Floats:
    """Return the mean absolute error of negative binomials around their median."""
    # Imported here because the import takes a second, and few processes need it.
    from scipy import stats

    size, p = mean / (ratio - 1), 1 / ratio
    middle = stats.nbinom.ppf(0.5, size, p)
    # E|Y - c| follows from the partial mean E[Y; Y <= c] = mean * F(c - 1), where F is the
    # distribution function at size + 1.
    below = stats.nbinom.cdf(middle, size, p)
    part = mean * stats.nbinom.cdf(middle - 1, size + 1, p)
    error: Floats = 2 * (middle * below - part) + mean - middle
    return error
