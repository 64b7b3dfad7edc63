"""Mean forecasts in, a calibrated distribution around each out.

The distribution is a negative binomial whose variance a booster predicts from the features. Its
levels are recalibrated, by volume, on out-of-fold forecasts: a level is replaced by the one
below which that share of outcomes fell (Kuleshov et al. 2018). Between two counts the quantile
function is continuous, and is shifted so that the share of outcomes beyond each quantile is
right. Any level can be read from it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from scipy import stats

from features.errors import InvalidInput
from features.typing import Floats, Ints
from training.estimators.boosting import Booster, BoostingOptions
from training.models.demand.training_rows import sample_mask

QUANTILES = (0.1, 0.5, 0.9)
# Levels that are published: others are interpolated between neighbours.
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)

_VARIANCE_BOOSTER = "variance"
_CALIBRATION = "calibration.json"

_ROUNDS = 25
# A variance needs fewer rows than a mean: more hardly change it.
_ROWS = 40_000
_TREES = BoostingOptions(
    learning_rate=0.15,
    num_leaves=15,
    min_data_in_leaf=300,
    feature_fraction=0.5,
    bagging_fraction=0.5,
    lambda_l2=1.0,
)
# Squared errors are clipped at this multiple of their expectation.
_MAX_SQUARE_RATIO = 30.0
# Volume classes of the recalibration, and the fewest outcomes in one.
_CLASSES = 8
_MIN_CLASS_ROWS = 400

# The negative binomial is tabulated by mean, variance over mean, and level.
_MEANS = np.geomspace(5e-3, 1e5, 70)
_RATIOS = np.geomspace(1.0005, 400.0, 14)
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
    mean, ratio, level = np.meshgrid(_MEANS, _RATIOS, _TABLE_LEVELS, indexing="ij")
    size = mean / (ratio - 1)
    counts = np.maximum(stats.nbinom.ppf(level, size, 1 / ratio), 0.0)
    below = np.where(counts > 0, stats.nbinom.cdf(counts - 1, size, 1 / ratio), 0.0)
    mass = np.maximum(stats.nbinom.pmf(counts, size, 1 / ratio), 1e-300)
    quantiles: Floats = counts + np.clip((level - below) / mass, 0.0, 1.0)
    return np.maximum.accumulate(quantiles, axis=2)


@dataclass(frozen=True)
class CalibratedDistribution:
    """A fitted distribution around mean forecasts.

    Attributes
    ----------
    booster
        Predicts the log of the squared error over its usual size.
    excess
        (a, b): the usual variance beyond Poisson's is a * mean ** b.
    volumes, edges
        Geometric mean and maximum of the forecasts in each volume class; ascending.
    recalibrated
        By volume class, the level of the negative binomial to use for each of `LEVELS`.
    shifts
        By volume class, units by which the quantile at each of `LEVELS` is lowered, below one.
    """

    booster: Booster
    excess: tuple[float, float]
    volumes: tuple[float, ...]
    edges: tuple[float, ...]
    recalibrated: tuple[tuple[float, ...], ...]
    shifts: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls, features: pl.DataFrame, mean: Floats, units: Floats, *, seed: int, threads: int
    ) -> Self:
        """Fit on out-of-fold forecasts.

        Parameters
        ----------
        features
            As the boosters of the mean read them.
        mean, units
            Forecast and outcome of each row.
        seed, threads
            Of the boosting.
        """
        excess = _fit_excess(mean, units)
        usual = _usual_variance(mean, excess)
        rng = np.random.default_rng(seed)
        kept = sample_mask(len(mean), _ROWS, seed)
        square = np.clip((units - mean) ** 2, 1e-3 * usual, _MAX_SQUARE_RATIO * usual)
        inputs = _with_mean(features, mean)
        booster = Booster.fit(
            inputs.filter(kept),
            square[kept],
            _TREES.params(objective="gamma", max_bin=63),
            _ROUNDS,
            categorical=[name for name in features.columns if name.startswith("group_")],
            init_score=np.log(usual[kept]),
            threads=threads,
            seed=seed,
        )
        unshifted = (0.0,) * len(LEVELS)
        uncalibrated = cls(booster, excess, (1.0,), (1.0,), (LEVELS,), (unshifted,))
        ratio = uncalibrated._ratio(inputs, mean)
        classes = _volume_classes(mean)
        volumes = tuple(
            float(np.exp(np.log(np.maximum(mean[rows], 1e-9)).mean())) for rows in classes
        )
        edges = tuple(float(mean[rows].max()) for rows in classes)
        levels = _recalibrate(mean, ratio, units, classes, rng)
        recalibrated = cls(booster, excess, volumes, edges, levels, (unshifted,) * len(levels))
        raw = recalibrated._unordered_quantiles(mean, ratio)
        shifts = tuple(
            tuple(_find_shift(raw[rows, i], units[rows], level) for i, level in enumerate(LEVELS))
            for rows in classes
        )
        return cls(booster, excess, volumes, edges, levels, shifts)

    def predict(
        self, features: pl.DataFrame, mean: Floats, levels: Sequence[float] = QUANTILES
    ) -> Floats:
        """Return quantiles, shape (rows, levels): not negative, and in order of their levels.

        The mean is between the outer deciles, also where nearly all outcomes were zero. Levels that
        are not in `LEVELS` are interpolated; those beyond equal the outermost.
        """
        ratio = self._ratio(_with_mean(features, mean), mean)
        quantiles = np.maximum(self._unordered_quantiles(mean, ratio), 0.0)
        ordered = np.maximum.accumulate(quantiles, axis=1)
        level, middle = np.array(LEVELS), mean[:, None]
        ordered = np.where(level <= 0.1, np.minimum(ordered, middle), ordered)
        ordered = np.where(level >= 0.9, np.maximum(ordered, middle), ordered)
        return np.column_stack([interpolate_level(ordered, level, LEVELS) for level in levels])

    def _ratio(self, inputs: pl.DataFrame, mean: Floats) -> Floats:
        """Predict variance over mean."""
        factor = np.exp(self.booster.predict(inputs, raw_score=True))
        variance = factor * _usual_variance(mean, self.excess)
        ratio: Floats = np.clip(variance / np.maximum(mean, 1e-9), _RATIOS[0], _RATIOS[-1])
        return ratio

    def _unordered_quantiles(self, mean: Floats, ratio: Floats) -> Floats:
        """Return recalibrated and shifted quantiles at `LEVELS`; they may cross."""
        position = np.interp(
            np.log(np.maximum(mean, 1e-9)), np.log(self.volumes), np.arange(len(self.volumes))
        )
        low = np.minimum(position.astype(np.int64), max(len(self.volumes) - 2, 0))
        high = np.minimum(low + 1, len(self.volumes) - 1)
        share = (position - low)[:, None]
        recalibrated = np.array(self.recalibrated)
        levels = recalibrated[low] * (1 - share) + recalibrated[high] * share
        # Shifts are below one unit and right for their own class alone: not interpolated.
        volume_class = np.minimum(np.searchsorted(self.edges, mean), len(self.edges) - 1)
        shifts = np.array(self.shifts)[volume_class]
        quantiles: Floats = _interpolate_table(mean, ratio, levels) - shifts
        return quantiles

    def save(self, folder: Path) -> None:
        """Write the booster and the calibration."""
        self.booster.save(folder / _VARIANCE_BOOSTER)
        calibration = {
            "excess": self.excess,
            "volumes": self.volumes,
            "edges": self.edges,
            "recalibrated": self.recalibrated,
            "shifts": self.shifts,
        }
        (folder / _CALIBRATION).write_text(json.dumps(calibration))

    @classmethod
    def load(cls, folder: Path, threads: int) -> Self:
        """Read what `save` wrote."""
        calibration = json.loads((folder / _CALIBRATION).read_text())
        a, b = calibration["excess"]
        return cls(
            Booster.load(folder / _VARIANCE_BOOSTER, threads),
            (a, b),
            tuple(calibration["volumes"]),
            tuple(calibration["edges"]),
            tuple(tuple(row) for row in calibration["recalibrated"]),
            tuple(tuple(row) for row in calibration["shifts"]),
        )


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
    quantiles = np.floor(_interpolate_table(mean, np.clip(ratio, _RATIOS[0], _RATIOS[-1]), grid))
    return np.where(mean[:, None] > 0, quantiles, 0.0)


def _interpolate_table(mean: Floats, ratio: Floats, levels: Floats) -> Floats:
    """Interpolate the table at each row's mean and ratio, at levels of shape (rows, levels)."""
    table = _table()
    # Above the table a quantile is proportional to the mean.
    inside = np.clip(mean, _MEANS[0], _MEANS[-1])
    i, a = _grid_cell(np.log(inside), np.log(_MEANS))
    j, b = _grid_cell(np.log(ratio), np.log(_RATIOS))
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


def _volume_classes(mean: Floats) -> list[Ints]:
    """Return the rows of each volume class, from low to high."""
    order = np.argsort(mean, kind="stable")
    count = int(np.clip(len(mean) // _MIN_CLASS_ROWS, 1, _CLASSES))
    parts = np.array_split(order, count)
    # Where all forecasts are equal there is one class.
    if mean[order[-1]] <= mean[order[0]] * (1 + 1e-6):
        return [order]
    return [part for part in parts if len(part)]


def _recalibrate(
    mean: Floats,
    ratio: Floats,
    units: Floats,
    classes: list[Ints],
    rng: np.random.Generator,
) -> tuple[tuple[float, ...], ...]:
    """Return, by class, the levels below which the shares of `LEVELS` of the outcomes fell."""
    size = mean / (ratio - 1)
    counts = np.round(units)
    below = np.where(counts > 0, stats.nbinom.cdf(counts - 1, size, 1 / ratio), 0.0)
    mass = stats.nbinom.pmf(counts, size, 1 / ratio)
    # Randomised probability integral transform: an outcome is anywhere within its count's mass.
    transform = below + rng.random(len(mean)) * mass
    return tuple(tuple(np.quantile(transform[rows], LEVELS).tolist()) for rows in classes)


def _find_shift(raw: Floats, units: Floats, level: float) -> float:
    """Find the shift, 0 to 1, that leaves the right share of outcomes beyond a quantile."""
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


def interpolate_level(values: Floats, level: float, levels: Sequence[float]) -> Floats:
    """Interpolate columns at `levels` to one level; beyond them the outermost is returned."""
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = levels[right - 1], levels[right]
    share = float(np.clip((level - low) / (high - low), 0.0, 1.0))
    interpolated: Floats = (1 - share) * values[:, right - 1] + share * values[:, right]
    return interpolated


def _with_mean(features: pl.DataFrame, mean: Floats) -> pl.DataFrame:
    return features.with_columns(forecast_log=pl.Series(np.log(np.maximum(mean, 1e-9))))


def _usual_variance(mean: Floats, excess: tuple[float, float]) -> Floats:
    a, b = excess
    variance: Floats = np.maximum(mean, 1e-9) + a * np.maximum(mean, 1e-9) ** b
    return variance


def _fit_excess(mean: Floats, units: Floats, bins: int = 20) -> tuple[float, float]:
    """Fit the power law of the variance beyond Poisson's, over bins of equal count."""
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
