"""Quantiles of a negative binomial and outcomes in; corrections of the quantiles by volume out."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.typing import Floats, Ints
from training.models.demand.quantiles import LEVELS, interpolate_table

# Volume classes, and the fewest outcomes in one.
_CLASSES = 8
_MIN_CLASS_ROWS = 400


@dataclass(frozen=True)
class Recalibration:
    """Corrections of a negative binomial's quantiles, by volume class.

    Attributes
    ----------
    volumes, edges
        Geometric mean and maximum of the forecasts in each volume class; ascending.
    levels
        By volume class, the level of the negative binomial to use for each of `LEVELS`.
    shifts
        By volume class, units by which the quantile at each of `LEVELS` is lowered, below one.
    """

    volumes: tuple[float, ...]
    edges: tuple[float, ...]
    levels: tuple[tuple[float, ...], ...]
    shifts: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, mean: Floats, ratio: Floats, units: Floats, rng: np.random.Generator) -> Self:
        """Fit on means, variances over means, and outcomes."""
        classes = _volume_classes(mean)
        volumes = tuple(
            float(np.exp(np.log(np.maximum(mean[rows], 1e-9)).mean())) for rows in classes
        )
        edges = tuple(float(mean[rows].max()) for rows in classes)
        levels = _recalibrate(mean, ratio, units, classes, rng)
        unshifted = ((0.0,) * len(LEVELS),) * len(levels)
        raw = cls(volumes, edges, levels, unshifted).quantiles(mean, ratio)
        shifts = tuple(
            tuple(_find_shift(raw[rows, i], units[rows], level) for i, level in enumerate(LEVELS))
            for rows in classes
        )
        return cls(volumes, edges, levels, shifts)

    def quantiles(self, mean: Floats, ratio: Floats) -> Floats:
        """Return recalibrated and shifted quantiles at `LEVELS`; they may cross."""
        position = np.interp(
            np.log(np.maximum(mean, 1e-9)), np.log(self.volumes), np.arange(len(self.volumes))
        )
        low = np.minimum(position.astype(np.int64), max(len(self.volumes) - 2, 0))
        high = np.minimum(low + 1, len(self.volumes) - 1)
        share = (position - low)[:, None]
        recalibrated = np.array(self.levels)
        levels = recalibrated[low] * (1 - share) + recalibrated[high] * share
        # Shifts are below one unit and right for their own class alone: not interpolated.
        volume_class = np.minimum(np.searchsorted(self.edges, mean), len(self.edges) - 1)
        shifts = np.array(self.shifts)[volume_class]
        quantiles: Floats = interpolate_table(mean, ratio, levels) - shifts
        return quantiles


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
    # Imported here because fitted models are also served, and the import takes a second.
    from scipy import stats

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
