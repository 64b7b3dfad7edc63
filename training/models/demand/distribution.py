"""Mean forecasts in, a calibrated distribution around each out.

The distribution is a negative binomial whose variance a booster predicts from the features. Its
levels are recalibrated, by volume and segment of the horizon, on out-of-fold forecasts: a level is
replaced by the one below which that share of outcomes fell (Kuleshov et al. 2018). Between two
counts the quantile function is continuous, and is shifted so that the share of outcomes beyond
each quantile is right. Any level can be read from it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats, Ints
from training.estimators.boosting import Booster, BoostingOptions
from training.models.demand.quantiles import LEVELS, QUANTILES, RATIOS, interpolate_level
from training.models.demand.recalibration import Recalibration
from training.models.demand.training_rows import sample_mask

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
# Segments of the horizon with a recalibration each, the fewest outcomes in one, and the feature
# that counts the periods ahead.
_SEGMENTS = 3
_MIN_SEGMENT_ROWS = 4_000
_STEP = "season_step"


@dataclass(frozen=True)
class CalibratedDistribution:
    """A fitted distribution around mean forecasts.

    Attributes
    ----------
    booster
        Predicts the log of the squared error over its usual size.
    excess
        (a, b): the usual variance beyond Poisson's is a * mean ** b.
    segments
        First period ahead of each segment of the horizon; ascending, the first is 0.
    recalibrations
        One for each segment.
    """

    booster: Booster
    excess: tuple[float, float]
    segments: tuple[int, ...]
    recalibrations: tuple[Recalibration, ...]

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
        step = _steps(features)
        ratio = _variance_ratio(booster, excess, inputs, mean)
        segments = _segments(step)
        number = np.searchsorted(segments, step, side="right") - 1
        recalibrations = tuple(
            Recalibration.fit(mean[rows], ratio[rows], units[rows], rng)
            for rows in (number == segment for segment in range(len(segments)))
        )
        return cls(booster, excess, segments, recalibrations)

    def predict(
        self, features: pl.DataFrame, mean: Floats, levels: Sequence[float] = QUANTILES
    ) -> Floats:
        """Return quantiles, shape (rows, levels): not negative, and in order of their levels.

        The mean is between the outer deciles, also where nearly all outcomes were zero. Levels that
        are not in `LEVELS` are interpolated; those beyond equal the outermost.
        """
        ratio = _variance_ratio(self.booster, self.excess, _with_mean(features, mean), mean)
        number = np.searchsorted(self.segments, _steps(features), side="right") - 1
        quantiles = np.zeros((len(mean), len(LEVELS)))
        for segment, recalibration in enumerate(self.recalibrations):
            rows = number == segment
            quantiles[rows] = recalibration.quantiles(mean[rows], ratio[rows])
        ordered = np.maximum.accumulate(np.maximum(quantiles, 0.0), axis=1)
        level, middle = np.array(LEVELS), mean[:, None]
        ordered = np.where(level <= 0.1, np.minimum(ordered, middle), ordered)
        ordered = np.where(level >= 0.9, np.maximum(ordered, middle), ordered)
        return np.column_stack([interpolate_level(ordered, level, LEVELS) for level in levels])

    def save(self, folder: Path) -> None:
        """Write the booster and the calibration."""
        self.booster.save(folder / _VARIANCE_BOOSTER)
        calibration = {
            "excess": self.excess,
            "segments": self.segments,
            "recalibrations": [asdict(part) for part in self.recalibrations],
        }
        (folder / _CALIBRATION).write_text(json.dumps(calibration))

    @classmethod
    def load(cls, folder: Path, threads: int) -> Self:
        """Read what `save` wrote."""
        calibration = json.loads((folder / _CALIBRATION).read_text())
        a, b = calibration["excess"]
        recalibrations = tuple(
            Recalibration(
                tuple(part["volumes"]),
                tuple(part["edges"]),
                tuple(map(tuple, part["levels"])),
                tuple(map(tuple, part["shifts"])),
            )
            for part in calibration["recalibrations"]
        )
        booster = Booster.load(folder / _VARIANCE_BOOSTER, threads)
        return cls(booster, (a, b), tuple(calibration["segments"]), recalibrations)


def _variance_ratio(
    booster: Booster, excess: tuple[float, float], inputs: pl.DataFrame, mean: Floats
) -> Floats:
    """Predict variance over mean."""
    variance = np.exp(booster.predict(inputs, raw_score=True)) * _usual_variance(mean, excess)
    ratio: Floats = np.clip(variance / np.maximum(mean, 1e-9), RATIOS[0], RATIOS[-1])
    return ratio


def _steps(features: pl.DataFrame) -> Ints:
    return features.get_column(_STEP).to_numpy().astype(np.int64)


def _segments(step: Ints) -> tuple[int, ...]:
    """Return the first period of each segment: thirds of the horizon with enough outcomes."""
    count = int(np.clip(len(step) // _MIN_SEGMENT_ROWS, 1, _SEGMENTS))
    parts = np.array_split(np.arange(int(step.max(initial=0)) + 1), count)
    return tuple(int(part[0]) for part in parts if len(part))


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
