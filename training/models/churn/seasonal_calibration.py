"""Calibration of log-odds on past predictions, of the newest cutoff or of the same season.

Log-odds of past predictions and their outcomes go in, a Platt scaling comes out. Which past
predictions calibrate best is tested on the newest outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize

from features.typing import Floats

# Weight of the prior towards the identity, in examples.
PRIOR_EXAMPLES = 25
# A calibration is chosen if it improves the log loss by so many standard errors.
MIN_STANDARD_ERRORS = 2.0
YEAR_DAYS = 364
# Difference between observed and predicted churn rate below which a level bias is ignored.
MIN_LEVEL_BIAS = 0.05


@dataclass(frozen=True)
class PlattScaling:
    """Log-odds times `slope`, which is positive, plus `intercept` (Platt 1999)."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, log_odds: Floats, label: Floats) -> Self:
        """Maximise the likelihood of outcomes, with a normal prior around the identity."""
        # 0.09 is the curvature of the log loss, p (1 - p), at p = 0.1 or 0.9.
        penalty = 0.09 * PRIOR_EXAMPLES / max(len(label), 1)

        def loss(parameters: Floats) -> tuple[float, Floats]:
            odds = parameters[0] * log_odds + parameters[1]
            error = (1 / (1 + np.exp(-odds)) - label) / len(label)
            gradient = np.array([error @ log_odds, error.sum()])
            deviation = parameters - np.array([1.0, 0.0])
            value = (np.logaddexp(0, odds) - label * odds).mean()
            value += penalty / 2 * deviation @ deviation
            return float(value), gradient + penalty * deviation

        optimum = minimize(
            loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.1, 3), (-3, 3)]
        )
        return cls(float(optimum.x[0]), float(optimum.x[1]))

    def apply(self, log_odds: Floats) -> Floats:
        """Return the calibrated log-odds."""
        return self.slope * log_odds + self.intercept


def best_calibration(
    log_odds: Floats, label: Floats, candidates: Mapping[str, PlattScaling]
) -> str | None:
    """Return the name of the candidate that fits the newest outcomes best.

    Parameters
    ----------
    log_odds, label
        Predictions and outcomes of customers that the candidates were not fitted to.
    candidates
        Scalings by name, each fitted to earlier outcomes.

    Returns
    -------
    str or None
        None where no candidate is better than no calibration by MIN_STANDARD_ERRORS.
    """
    uncalibrated = _losses(PlattScaling(), log_odds, label)
    best, largest_gain = None, 0.0
    for name, scaling in candidates.items():
        gain = uncalibrated - _losses(scaling, log_odds, label)
        lower_bound = gain.mean() - MIN_STANDARD_ERRORS * gain.std() / np.sqrt(len(gain))
        if lower_bound > largest_gain:
            best, largest_gain = name, float(lower_bound)
    return best


def is_worse(scaling: PlattScaling, log_odds: Floats, label: Floats) -> bool:
    """Return whether a scaling increases the log loss by MIN_STANDARD_ERRORS."""
    loss = _losses(scaling, log_odds, label) - _losses(PlattScaling(), log_odds, label)
    return bool(loss.mean() > MIN_STANDARD_ERRORS * loss.std() / np.sqrt(len(loss)))


def has_level_bias(log_odds: Floats, label: Floats) -> bool:
    """Return whether observed and predicted rate differ by MIN_LEVEL_BIAS and 3 standard errors."""
    p = 1 / (1 + np.exp(-log_odds))
    error = abs(float(label.mean() - p.mean()))
    return error > max(MIN_LEVEL_BIAS, 3 * float(np.sqrt((p * (1 - p)).sum())) / len(label))


def _losses(scaling: PlattScaling, log_odds: Floats, label: Floats) -> Floats:
    odds = scaling.apply(log_odds)
    return np.asarray(np.logaddexp(0, odds) - label * odds)
