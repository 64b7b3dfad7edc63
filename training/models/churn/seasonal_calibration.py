"""Calibration that knows the season: said log-odds are moved to where what came lay.

Log-odds of answers that came true go in, a line through them comes out. Which past answers tell
best of the next (the newest, those of the same season a year before, or none) is tried on the
newest; churn and next purchase use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize

from features.typing import Floats

# How strongly the line is held to what was said: as if so many answers had come true as said.
HELD = 25
# Some other calibration than none must have been better by so many standard errors.
MARGIN = 2.0
YEAR_DAYS = 364
# A level that is off by so much is no trifle.
OFF = 0.05


@dataclass(frozen=True)
class Line:
    """Log-odds times `slope`, which is not below 0, plus `shift` (Platt 1999)."""

    slope: float = 1.0
    shift: float = 0.0

    @classmethod
    def fit(cls, log_odds: Floats, label: Floats) -> Self:
        """Maximise the likelihood of answers that came true, held to what was said."""
        # What an answer of a tenth or nine tenths weighs in the curvature of the likelihood.
        pull = 0.09 * HELD / max(len(label), 1)

        def loss(at: Floats) -> tuple[float, Floats]:
            odds = at[0] * log_odds + at[1]
            error = (1 / (1 + np.exp(-odds)) - label) / len(label)
            gradient = np.array([error @ log_odds, error.sum()])
            away = at - np.array([1.0, 0.0])
            value = (np.logaddexp(0, odds) - label * odds).mean() + pull / 2 * away @ away
            return float(value), gradient + pull * away

        found = minimize(
            loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.1, 3), (-3, 3)]
        )
        return cls(float(found.x[0]), float(found.x[1]))

    def of(self, log_odds: Floats) -> Floats:
        """Return the calibrated log-odds."""
        return self.slope * log_odds + self.shift


def best_season(log_odds: Floats, label: Floats, candidates: Mapping[str, Line]) -> str:
    """Name the line that fits these newest answers best, or `none` where none is clearly better.

    Parameters
    ----------
    log_odds, label
        Said and come true, of customers whom the candidates have not seen there.
    candidates
        Lines by name, each fitted to what had come true before.
    """
    plain = _losses(Line(), log_odds, label)
    found, least = "none", 0.0
    for name, line in candidates.items():
        gain = plain - _losses(line, log_odds, label)
        sure = gain.mean() - MARGIN * gain.std() / np.sqrt(len(gain))
        if sure > least:
            found, least = name, float(sure)
    return found


def is_worse(line: Line, log_odds: Floats, label: Floats) -> bool:
    """Whether answers moved by the line were clearly worse than answers as they were said."""
    loss = _losses(line, log_odds, label) - _losses(Line(), log_odds, label)
    return bool(loss.mean() > MARGIN * loss.std() / np.sqrt(len(loss)))


def is_off(log_odds: Floats, label: Floats) -> bool:
    """Whether the level of answers was off by more than chance and more than a trifle."""
    p = 1 / (1 + np.exp(-log_odds))
    error = abs(float(label.mean() - p.mean()))
    return error > max(OFF, 3 * float(np.sqrt((p * (1 - p)).sum())) / len(label))


def _losses(line: Line, log_odds: Floats, label: Floats) -> Floats:
    odds = line.of(log_odds)
    return np.asarray(np.logaddexp(0, odds) - label * odds)
