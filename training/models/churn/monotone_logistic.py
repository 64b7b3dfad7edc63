"""Logistic regression that is monotone in every column: piecewise linear, slopes of one sign.

Columns with a sign and outcomes go in, log-odds come out. It is smooth where trees are steps, and
has less variance than trees where examples are few.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from features.typing import Floats

# Quantiles of the examples at which the slopes may change.
KNOT_QUANTILES = (1 / 3, 2 / 3)
PENALTY = 0.01


@dataclass(frozen=True)
class MonotoneLogit:
    """Log-odds that increase in each column times its sign.

    Attributes
    ----------
    signs
        1 or -1 a column.
    center, spread
        Mean and standard deviation of the logs of the columns, over the examples.
    knots
        Where the slopes of each column change, shape (knots, columns).
    slopes
        Not negative: of the line, and of its parts above and below each knot; shape
        (1 + 2 knots, columns).
    intercept
        The log-odds where all columns are at their centers.
    """

    signs: Floats
    center: Floats
    spread: Floats
    knots: Floats
    slopes: Floats
    intercept: float

    @classmethod
    def fit(cls, columns: Floats, signs: Floats, label: Floats) -> Self:
        """Maximise the likelihood with a ridge penalty on the slopes."""
        logs = _logs(columns, signs)
        center, spread = logs.mean(axis=0), logs.std(axis=0) + 1e-9
        knots = np.quantile((logs - center) / spread, KNOT_QUANTILES, axis=0)
        draft = cls(signs, center, spread, knots, np.zeros((1 + 2 * len(knots), len(signs))), 0.0)
        basis = np.concatenate(list(draft._lines(columns)), axis=1)
        scale = basis.std(axis=0) + 1e-9
        basis /= scale
        rate = np.clip(label.mean(), 1e-6, 1 - 1e-6)
        start = np.append(np.log(rate / (1 - rate)), np.zeros(basis.shape[1]))

        def loss(parameters: Floats) -> tuple[float, Floats]:
            odds = basis @ parameters[1:] + parameters[0]
            error = (1 / (1 + np.exp(-odds)) - label) / len(label)
            gradient = np.append(error.sum(), basis.T @ error + PENALTY * parameters[1:])
            value = (np.logaddexp(0, odds) - label * odds).mean()
            return float(value + PENALTY / 2 * (parameters[1:] ** 2).sum()), gradient

        bounds = [(None, None), *[(0.0, None)] * basis.shape[1]]
        # Products of this size are slower on several threads than on one.
        with threadpool_limits(1, user_api="blas"):
            optimum = minimize(
                loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 150}
            )
        slopes = (optimum.x[1:] / scale).reshape(draft.slopes.shape)
        return cls(signs, center, spread, knots, slopes, float(optimum.x[0]))

    def contributions(self, columns: Floats) -> Floats:
        """Return the contribution of each column to the log-odds, without the intercept."""
        parts = zip(self._lines(columns), self.slopes, strict=True)
        return np.asarray(sum(line * slope for line, slope in parts))

    def log_odds(self, columns: Floats) -> Floats:
        """Return the log-odds of each row."""
        return np.asarray(self.contributions(columns).sum(axis=1) + self.intercept)

    def _lines(self, columns: Floats) -> list[Floats]:
        scaled = (_logs(columns, self.signs) - self.center) / self.spread
        lines = [scaled]
        for knot in self.knots:
            lines += [np.maximum(scaled - knot, 0.0), np.minimum(scaled - knot, 0.0)]
        return lines

    def to_json(self) -> dict[str, object]:
        """Return plain values for a JSON file."""
        return {
            "signs": self.signs.tolist(),
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "knots": self.knots.tolist(),
            "slopes": self.slopes.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def from_json(cls, content: dict[str, object]) -> Self:
        """Read what `to_json` returned."""
        arrays = {name: np.asarray(content[name]) for name in content if name != "intercept"}
        return cls(**arrays, intercept=float(content["intercept"]))  # type: ignore[arg-type]


def _logs(columns: Floats, signs: Floats) -> Floats:
    return np.log1p(np.maximum(columns, 0.0)) * signs
