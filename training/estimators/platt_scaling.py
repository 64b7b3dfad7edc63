"""Platt scaling: log-odds of one or more predictors and outcomes in, calibrated log-odds out.

With more than one predictor it is a stacking ensemble as well. Slopes are not negative, so what is
monotone in a predictor stays so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats

# Weight of the prior, in examples.
PRIOR_EXAMPLES = 100
# Bounds of slopes and intercept.
MAX_SLOPE, MAX_INTERCEPT = 3.0, 3.0
MAX_LOG_ODDS = 12.0
# Curvature of the log loss, p (1 - p), at p = 0.1 or 0.9.
CURVATURE = 0.09


@dataclass(frozen=True)
class PlattScaling:
    """Sum of log-odds times slopes, plus `intercept` (Platt 1999).

    Attributes
    ----------
    slopes
        One a predictor, not negative.
    intercept
        Log-odds where all predictors are 0.
    """

    slopes: tuple[float, ...] = (1.0,)
    intercept: float = 0.0

    @classmethod
    def fit(
        cls, log_odds: Floats, label: Floats, prior: Sequence[float], weight: Floats | None = None
    ) -> Self:
        """Maximise the likelihood of outcomes, with a normal prior.

        Parameters
        ----------
        log_odds
            Log-odds of the predictors, shape (examples, predictors).
        label
            1 where the event happened, else 0.
        prior
            Slopes expected before the examples; the intercept expected is 0.
        weight
            Weight of each example, by default 1.
        """
        # Imported here because fitted models are also served, and the import takes a second.
        from scipy.optimize import minimize

        weights = np.ones(len(label)) if weight is None else weight
        total = max(float(weights.sum()), 1.0)
        expected = np.append(np.asarray(prior, dtype=np.float64), 0.0)
        penalty = CURVATURE * PRIOR_EXAMPLES / total

        def loss(parameters: Floats) -> tuple[float, Floats]:
            odds = log_odds @ parameters[:-1] + parameters[-1]
            error = weights * (1 / (1 + np.exp(-odds)) - label) / total
            deviation = parameters - expected
            value = (weights * (np.logaddexp(0, odds) - label * odds)).sum() / total
            gradient = np.append(error @ log_odds, error.sum()) + penalty * deviation
            return float(value + penalty / 2 * deviation @ deviation), gradient

        bounds = [(0.0, MAX_SLOPE)] * len(prior) + [(-MAX_INTERCEPT, MAX_INTERCEPT)]
        optimum = minimize(loss, expected, jac=True, method="L-BFGS-B", bounds=bounds)
        *slopes, intercept = optimum.x.tolist()
        return cls(tuple(slopes), intercept)

    def apply(self, log_odds: Floats) -> Floats:
        """Return the calibrated log-odds, from shape (examples, predictors)."""
        return np.asarray(log_odds @ np.array(self.slopes) + self.intercept)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the fields of a saved scaling."""
        return cls(tuple(content["slopes"]), content["intercept"])


def log_odds_of(probability: ArrayLike) -> Floats:
    """Return the log-odds of probabilities, which are clipped to within MAX_LOG_ODDS."""
    least = 1 / (1 + np.exp(MAX_LOG_ODDS))
    p = np.clip(np.asarray(probability, dtype=np.float64), least, 1 - least)
    return np.asarray(np.log(p / (1 - p)))
