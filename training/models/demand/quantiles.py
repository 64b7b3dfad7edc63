"""Levels of quantiles, and the quantiles of a negative binomial at them.

Means, variances over means and levels in; quantiles out, interpolated in a table.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from features.errors import InvalidInput
from features.typing import Floats, Ints

QUANTILES = (0.1, 0.5, 0.9)
# Levels that are published: others are interpolated between neighbours.
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)

# The negative binomial is tabulated by mean, variance over mean, and level.
_MEANS = np.geomspace(5e-3, 1e5, 70)
RATIOS = np.geomspace(1.0005, 400.0, 14)
_TABLE_LEVELS = np.concatenate(
    [
        [1e-3, 3e-3, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.13, 0.16],
        np.linspace(0.2, 0.8, 13),
        [0.84, 0.87, 0.9, 0.925, 0.95, 0.965, 0.98, 0.99, 0.997, 0.999],
    ]
)


def level_name(level: float) -> str:
    """Name the column of a quantile: `q10` of 0.1, `q97.5` of 0.975."""
    return f"q{round(100 * level, 4):g}"


def check_levels(levels: Sequence[float]) -> None:
    """Raise InvalidInput if a level is not above 0 and below 1."""
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong:
        raise InvalidInput(
            f"quantile = {wrong[0]} is no level: use numbers above 0 and below 1, such as 0.9, "
            "below which demand stays nine times of ten.",
            field="quantiles",
        )


@lru_cache(maxsize=1)
def _table() -> Floats:
    """Tabulate continuous quantiles of the negative binomial, shape (means, ratios, levels).

    Between F(k - 1) and F(k) the quantile runs from k to k + 1.
    """
    # Imported here because fitted models are also served, and the import takes a second.
    from scipy import stats

    mean, ratio, level = np.meshgrid(_MEANS, RATIOS, _TABLE_LEVELS, indexing="ij")
    size = mean / (ratio - 1)
    counts = np.maximum(stats.nbinom.ppf(level, size, 1 / ratio), 0.0)
    below = np.where(counts > 0, stats.nbinom.cdf(counts - 1, size, 1 / ratio), 0.0)
    mass = np.maximum(stats.nbinom.pmf(counts, size, 1 / ratio), 1e-300)
    quantiles: Floats = counts + np.clip((level - below) / mass, 0.0, 1.0)
    return np.maximum.accumulate(quantiles, axis=2)


def negative_binomial_quantiles(mean: Floats, ratio: Floats, levels: Sequence[float]) -> Floats:
    """Return whole-unit quantiles, shape (rows, levels), without recalibration.

    Parameters
    ----------
    mean, ratio
        Mean, and variance over mean, of each row.
    levels
        Above 0 and below 1.
    """
    grid = np.broadcast_to(np.array(levels), (len(mean), len(levels)))
    quantiles = np.floor(interpolate_table(mean, np.clip(ratio, RATIOS[0], RATIOS[-1]), grid))
    return np.where(mean[:, None] > 0, quantiles, 0.0)


def interpolate_table(mean: Floats, ratio: Floats, levels: Floats) -> Floats:
    """Interpolate the table at each row's mean and ratio, at levels of shape (rows, levels)."""
    table = _table()
    # Above the table a quantile is proportional to the mean.
    inside = np.clip(mean, _MEANS[0], _MEANS[-1])
    i, a = _grid_cell(np.log(inside), np.log(_MEANS))
    j, b = _grid_cell(np.log(ratio), np.log(RATIOS))
    k = np.clip(np.searchsorted(_TABLE_LEVELS, levels) - 1, 0, len(_TABLE_LEVELS) - 2)
    width = _TABLE_LEVELS[k + 1] - _TABLE_LEVELS[k]
    c = np.clip((levels - _TABLE_LEVELS[k]) / width, 0.0, 1.0)
    quantiles = np.zeros_like(levels)
    for di, wi in ((0, 1 - a), (1, a)):
        for dj, wj in ((0, 1 - b), (1, b)):
            row, column = (i + di)[:, None], (j + dj)[:, None]
            value = (1 - c) * table[row, column, k] + c * table[row, column, k + 1]
            quantiles += (wi * wj)[:, None] * value
    scaled: Floats = quantiles * np.maximum(mean / _MEANS[-1], 1.0)[:, None]
    return scaled


def _grid_cell(values: Floats, grid: Floats) -> tuple[Ints, Floats]:
    """Return the cell of an evenly spaced grid that each value is in, and its share of it."""
    position = (values - grid[0]) / (grid[1] - grid[0])
    cell = np.clip(position.astype(np.int64), 0, len(grid) - 2)
    return cell, np.clip(position - cell, 0.0, 1.0)


def interpolate_level(values: Floats, level: float, levels: Sequence[float]) -> Floats:
    """Interpolate columns at `levels` to one level; beyond them the outermost is returned."""
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = levels[right - 1], levels[right]
    share = float(np.clip((level - low) / (high - low), 0.0, 1.0))
    interpolated: Floats = (1 - share) * values[:, right - 1] + share * values[:, right]
    return interpolated
