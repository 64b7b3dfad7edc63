"""Mean forecasts in, quantiles around them out; a part of the demand model.

Two views are averaged: a boosted quantile regression on errors over their expected size, and
a negative binomial whose variance grows with the mean as the errors' did. The first sees
features, the second cannot leave what counts can do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from training.models.boosting import Booster

Floats = NDArray[np.float64]

QUANTILES = (0.1, 0.5, 0.9)
# Levels that are published: any other is interpolated between its neighbours.
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)
_ROUNDS = 60
# Errors need fewer rows than means: beyond these the quantiles hardly change.
_ROWS = 40_000
_PARAMS: Mapping[str, Any] = {
    "objective": "quantile",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 200,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
}
# Means at which the negative binomial's quantiles are computed; between them they are interpolated.
_GRID = np.geomspace(1e-2, 1e5, 240)


@dataclass(frozen=True)
class Quantiles:
    """A fitted spread around mean forecasts.

    Attributes
    ----------
    boosters
        One a quantile of `QUANTILES`, on scaled errors.
    excess
        (a, b): variance beyond Poisson's is a * mean ** b.
    """

    boosters: tuple[Booster, ...]
    excess: tuple[float, float]

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
        inputs, scaled = _with_mean(features, mean), (units - mean) / _size(mean)
        if len(mean) > _ROWS:
            kept = np.sort(np.random.default_rng(seed).choice(len(mean), _ROWS, replace=False))
            inputs, scaled = inputs[kept], scaled[kept]
        boosters = tuple(
            Booster.fit(
                inputs,
                scaled,
                {**_PARAMS, "alpha": quantile},
                _ROUNDS,
                categorical=[name for name in features.columns if name.startswith("group_")],
                threads=threads,
                seed=seed,
            )
            for quantile in QUANTILES
        )
        return cls(boosters, _excess(mean, units))

    def predict(
        self, features: pl.DataFrame, mean: Floats, levels: Sequence[float] = QUANTILES
    ) -> Floats:
        """Return quantiles, shape (rows, levels): never negative, never crossing.

        Between the levels that were boosted, what the boosting adds to the counted quantile is
        interpolated; beyond them it stays. Levels that are not in `LEVELS` are interpolated.
        """
        inputs = _with_mean(features, mean)
        size = _size(mean)
        added = np.column_stack(
            [
                mean + size * booster.predict(inputs) - self._counted(mean, quantile)
                for quantile, booster in zip(QUANTILES, self.boosters, strict=True)
            ]
        )
        found = np.column_stack(
            [self._counted(mean, level) + between(added, level, QUANTILES) / 2 for level in LEVELS]
        )
        ordered = np.maximum.accumulate(np.maximum(found, 0.0), axis=1)
        return np.column_stack([between(ordered, level, LEVELS) for level in levels])

    def _counted(self, mean: Floats, quantile: float) -> Floats:
        """Quantile of a negative binomial, made continuous in the mean by interpolation."""
        a, b = self.excess
        excess = np.maximum(a * _GRID**b, 1e-6 * _GRID)
        size = _GRID**2 / excess
        points = stats.nbinom.ppf(quantile, size, size / (size + _GRID))
        found: Floats = np.interp(mean, _GRID, points)
        return found

    def save(self, folder: Path) -> None:
        """Write the boosters and `spread.json`."""
        for quantile, booster in zip(QUANTILES, self.boosters, strict=True):
            booster.save(folder / f"q{round(100 * quantile)}")
        (folder / "spread.json").write_text(json.dumps({"excess": self.excess}))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        boosters = tuple(Booster.load(folder / f"q{round(100 * q)}", threads) for q in QUANTILES)
        a, b = json.loads((folder / "spread.json").read_text())["excess"]
        return cls(boosters, (a, b))


def between(values: Floats, level: float, levels: Sequence[float]) -> Floats:
    """Interpolate columns at `levels` to one level; beyond them the outermost stands."""
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    low, high = levels[right - 1], levels[right]
    share = float(np.clip((level - low) / (high - low), 0.0, 1.0))
    found: Floats = (1 - share) * values[:, right - 1] + share * values[:, right]
    return found


def _with_mean(features: pl.DataFrame, mean: Floats) -> pl.DataFrame:
    return features.with_columns(forecast_log=pl.Series(np.log(np.maximum(mean, 1e-9))))


def _size(mean: Floats) -> Floats:
    """Return the expected size of an error, but for a factor."""
    found: Floats = np.sqrt(mean) + 0.5
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
