"""Mean forecasts in, one calibrated distribution around each out; a part of the demand model.

The distribution is a negative binomial whose variance is itself forecast from the features.
Its levels are recalibrated on outcomes that the model had not seen: by volume, a level is
replaced by the one below which that share of outcomes did fall (Kuleshov et al. 2018), and what
lies between two counts is spread so that each quantile leaves the share beyond it that it says.
Any level can be read from it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from features.typing import Floats
from training.estimators.boosting import Booster

QUANTILES = (0.1, 0.5, 0.9)
# Levels that are published: any other is interpolated between its neighbours.
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)
_ROUNDS = 25
# Spreads need fewer rows than means: beyond these they hardly change.
_ROWS = 40_000
_PARAMS: Mapping[str, Any] = {
    "objective": "gamma",
    "learning_rate": 0.15,
    "num_leaves": 15,
    "min_data_in_leaf": 300,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "max_bin": 63,
}
# Errors larger than this many times their expected square are counted as that.
_LARGEST_ERROR = 30.0
# Classes of volume by which levels are recalibrated, and the fewest outcomes in one.
_CLASSES = 8
_LEAST_IN_CLASS = 400

# The negative binomial is tabulated: means, variance over mean, and levels.
_MEANS = np.geomspace(5e-3, 1e5, 70)
_RATIOS = np.geomspace(1.0005, 400.0, 14)
_INNER = np.concatenate(
    [
        [1e-3, 3e-3, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.13, 0.16],
        np.linspace(0.2, 0.8, 13),
        [0.84, 0.87, 0.9, 0.925, 0.95, 0.965, 0.98, 0.99, 0.997, 0.999],
    ]
)


def level_name(level: float) -> str:
    """Name the column of a quantile: `q10` of 0.1, `q97.5` of 0.975."""
    return f"q{round(100 * level, 4):g}"


@lru_cache(maxsize=1)
def _table() -> Floats:
    """Quantiles of the negative binomial, shape (means, ratios, levels), continued between counts.

    Between F(k - 1) and F(k) the quantile runs from k to k + 1.
    """
    mean, ratio, level = np.meshgrid(_MEANS, _RATIOS, _INNER, indexing="ij")
    size = mean / (ratio - 1)
    counts = np.maximum(stats.nbinom.ppf(level, size, 1 / ratio), 0.0)
    below = np.where(counts > 0, stats.nbinom.cdf(counts - 1, size, 1 / ratio), 0.0)
    mass = np.maximum(stats.nbinom.pmf(counts, size, 1 / ratio), 1e-300)
    found: Floats = counts + np.clip((level - below) / mass, 0.0, 1.0)
    return np.maximum.accumulate(found, axis=2)


@dataclass(frozen=True)
class Quantiles:
    """A fitted spread around mean forecasts.

    Attributes
    ----------
    booster
        Of the squared error over its usual size.
    excess
        (a, b): variance beyond Poisson's is usually a * mean ** b.
    volumes, edges
        Mean forecast in the middle of each class of volume, and at its upper end; ascending.
    inner
        Level of the negative binomial that stands for each of `LEVELS`, by class of volume.
    shifts
        By how much of a unit each of `LEVELS` is moved down between two counts, by class.
    """

    booster: Booster
    excess: tuple[float, float]
    volumes: tuple[float, ...]
    edges: tuple[float, ...]
    inner: tuple[tuple[float, ...], ...]
    shifts: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls, features: pl.DataFrame, mean: Floats, units: Floats, *, seed: int, threads: int
    ) -> Self:
        """Fit on forecasts of rows that their model had not seen.

        Parameters
        ----------
        features
            As the mean's model reads them.
        mean, units
            Forecast and outcome of each row.
        seed, threads
            Of the boosting.
        """
        excess = _excess(mean, units)
        usual = _variance(mean, excess)
        rng = np.random.default_rng(seed)
        kept = np.arange(len(mean))
        if len(mean) > _ROWS:
            kept = np.sort(rng.choice(len(mean), _ROWS, replace=False))
        square = np.clip((units - mean) ** 2, 1e-3 * usual, _LARGEST_ERROR * usual)
        inputs = _with_mean(features, mean)
        booster = Booster.fit(
            inputs[kept],
            square[kept],
            _PARAMS,
            _ROUNDS,
            categorical=[name for name in features.columns if name.startswith("group_")],
            init_score=np.log(usual[kept]),
            threads=threads,
            seed=seed,
        )
        none = (0.0,) * len(LEVELS)
        plain = cls(booster, excess, (1.0,), (1.0,), (LEVELS,), (none,))
        ratio = plain._ratio(inputs, mean)
        classes = _classes(mean)
        volumes = tuple(
            float(np.exp(np.log(np.maximum(mean[rows], 1e-9)).mean())) for rows in classes
        )
        edges = tuple(float(mean[rows].max()) for rows in classes)
        inner = _recalibrated(mean, ratio, units, classes, rng)
        levelled = cls(booster, excess, volumes, edges, inner, (none,) * len(inner))
        raw = levelled._continued(mean, ratio)
        shifts = tuple(
            tuple(_shift(raw[rows, i], units[rows], level) for i, level in enumerate(LEVELS))
            for rows in classes
        )
        return cls(booster, excess, volumes, edges, inner, shifts)

    def predict(
        self, features: pl.DataFrame, mean: Floats, levels: Sequence[float] = QUANTILES
    ) -> Floats:
        """Return quantiles, shape (rows, levels): never negative, never crossing.

        Levels that are not in `LEVELS` are interpolated; beyond them the outermost stands.
        """
        ratio = self._ratio(_with_mean(features, mean), mean)
        found = self._continued(mean, ratio)
        ordered = np.maximum.accumulate(np.maximum(found, 0.0), axis=1)
        return np.column_stack([between(ordered, level, LEVELS) for level in levels])

    def _ratio(self, inputs: pl.DataFrame, mean: Floats) -> Floats:
        """Forecast variance over mean."""
        factor = np.exp(self.booster.predict(inputs, raw_score=True))
        found = factor * _variance(mean, self.excess) / np.maximum(mean, 1e-9)
        ratio: Floats = np.clip(found, _RATIOS[0], _RATIOS[-1])
        return ratio

    def _continued(self, mean: Floats, ratio: Floats) -> Floats:
        """Quantiles at `LEVELS`, shape (rows, levels), moved by the shifts; not yet in order."""
        place = np.interp(
            np.log(np.maximum(mean, 1e-9)), np.log(self.volumes), np.arange(len(self.volumes))
        )
        low = np.minimum(place.astype(np.int64), max(len(self.volumes) - 2, 0))
        high = np.minimum(low + 1, len(self.volumes) - 1)
        share = (place - low)[:, None]
        inner = np.array(self.inner)
        levels = inner[low] * (1 - share) + inner[high] * share
        # Shifts are of less than a unit and right for their own class alone: not interpolated.
        of = np.minimum(np.searchsorted(self.edges, mean), len(self.edges) - 1)
        moved: Floats = _look_up(mean, ratio, levels) - np.array(self.shifts)[of]
        return moved

    def save(self, folder: Path) -> None:
        """Write the booster and `spread.json`."""
        self.booster.save(folder / "spread")
        about = {
            "excess": self.excess,
            "volumes": self.volumes,
            "edges": self.edges,
            "inner": self.inner,
            "shifts": self.shifts,
        }
        (folder / "levels.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "levels.json").read_text())
        a, b = about["excess"]
        return cls(
            Booster.load(folder / "spread", threads),
            (a, b),
            tuple(about["volumes"]),
            tuple(about["edges"]),
            tuple(tuple(row) for row in about["inner"]),
            tuple(tuple(row) for row in about["shifts"]),
        )


def counted(mean: Floats, ratio: Floats, levels: Sequence[float]) -> Floats:
    """Quantiles of negative binomials of given mean and variance over mean, whole units.

    For what has no outcomes yet by which levels could be recalibrated.
    """
    inner = np.broadcast_to(np.array(levels), (len(mean), len(levels)))
    found = np.floor(_look_up(mean, np.clip(ratio, _RATIOS[0], _RATIOS[-1]), inner))
    return np.where(mean[:, None] > 0, found, 0.0)


def _look_up(mean: Floats, ratio: Floats, levels: Floats) -> Floats:
    """Read the table at each row's mean and ratio, at levels of shape (rows, levels)."""
    table = _table()
    # Above the table a quantile grows with the mean.
    inside = np.clip(mean, _MEANS[0], _MEANS[-1])
    i, a = _cell(np.log(inside), np.log(_MEANS))
    j, b = _cell(np.log(ratio), np.log(_RATIOS))
    k = np.clip(np.searchsorted(_INNER, levels) - 1, 0, len(_INNER) - 2)
    c = np.clip((levels - _INNER[k]) / (_INNER[k + 1] - _INNER[k]), 0.0, 1.0)
    found = np.zeros_like(levels)
    for di, wi in ((0, 1 - a), (1, a)):
        for dj, wj in ((0, 1 - b), (1, b)):
            row, column = (i + di)[:, None], (j + dj)[:, None]
            value = (1 - c) * table[row, column, k] + c * table[row, column, k + 1]
            found += (wi * wj)[:, None] * value
    scaled: Floats = found * np.maximum(mean / _MEANS[-1], 1.0)[:, None]
    return scaled


def _cell(values: Floats, grid: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Find where values lie in an evenly spaced grid: the cell, and how far into it."""
    place = (values - grid[0]) / (grid[1] - grid[0])
    cell = np.clip(place.astype(np.int64), 0, len(grid) - 2)
    return cell, np.clip(place - cell, 0.0, 1.0)


def _classes(mean: Floats) -> list[NDArray[np.int64]]:
    """Rows by class of volume, from low to high."""
    order = np.argsort(mean, kind="stable")
    count = int(np.clip(len(mean) // _LEAST_IN_CLASS, 1, _CLASSES))
    parts = np.array_split(order, count)
    # Where all series are alike, classes of one volume are one class.
    if mean[order[-1]] <= mean[order[0]] * (1 + 1e-6):
        return [order]
    return [part for part in parts if len(part)]


def _recalibrated(
    mean: Floats,
    ratio: Floats,
    units: Floats,
    classes: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> tuple[tuple[float, ...], ...]:
    """Find, by class of volume, the levels below which the shares of `LEVELS` did fall."""
    size = mean / (ratio - 1)
    counts = np.round(units)
    below = np.where(counts > 0, stats.nbinom.cdf(counts - 1, size, 1 / ratio), 0.0)
    mass = stats.nbinom.pmf(counts, size, 1 / ratio)
    # An outcome stands anywhere within its count's mass.
    reached = below + rng.random(len(mean)) * mass
    return tuple(tuple(np.quantile(reached[rows], LEVELS).tolist()) for rows in classes)


def _shift(raw: Floats, units: Floats, level: float) -> float:
    """Find the shift at which the right share of outcomes lies beyond a quantile."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        quantile = np.maximum(raw - middle, 0.0)
        if level < 0.5:
            too_high = (units < quantile).mean() > level
        else:
            too_high = (units > quantile).mean() < 1 - level
        low, high = (middle, high) if too_high else (low, middle)
    return (low + high) / 2


def between(values: Floats, level: float, levels: Sequence[float]) -> Floats:
    """Interpolate columns at `levels` to one level; beyond them the outermost stands."""
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = levels[right - 1], levels[right]
    share = float(np.clip((level - low) / (high - low), 0.0, 1.0))
    found: Floats = (1 - share) * values[:, right - 1] + share * values[:, right]
    return found


def _with_mean(features: pl.DataFrame, mean: Floats) -> pl.DataFrame:
    return features.with_columns(forecast_log=pl.Series(np.log(np.maximum(mean, 1e-9))))


def _variance(mean: Floats, excess: tuple[float, float]) -> Floats:
    a, b = excess
    found: Floats = np.maximum(mean, 1e-9) + a * np.maximum(mean, 1e-9) ** b
    return found


def _excess(mean: Floats, units: Floats, bins: int = 20) -> tuple[float, float]:
    """Fit how the variance beyond Poisson's grows with the mean, over bins of equal count."""
    order = np.argsort(mean, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    means = np.array([mean[part].mean() for part in parts])
    squares = np.array([((units[part] - mean[part]) ** 2).mean() for part in parts])
    excess = squares - means
    over = (excess > 0) & (means > 0)
    if over.sum() < 2:
        return 0.0, 1.0
    slope, intercept = np.polyfit(np.log(means[over]), np.log(excess[over]), 1)
    return float(np.exp(intercept)), float(slope)
