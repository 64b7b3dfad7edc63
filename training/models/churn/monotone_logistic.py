"""Logistic regression that rises in every column: a sum of bent lines with slopes of one sign.

Columns with a direction go in, log-odds come out. A member of the stack for churn beside trees:
steadier where examples are few, and smooth where trees step.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from features.typing import Floats

# Where the lines bend, as shares of the examples below.
BENDS = (1 / 3, 2 / 3)
PENALTY = 0.01


@dataclass(frozen=True)
class MonotoneLogit:
    """Log-odds that rise in each column times its sign.

    Attributes
    ----------
    signs
        1 or -1 a column.
    center, spread
        Of the logs of the columns, over the examples.
    bends
        Where each column's line bends, shape (bends, columns).
    slopes
        None below 0: of the whole line, and beyond and before each bend; shape
        (1 + 2 bends, columns).
    intercept
        The log-odds where all columns are at their centers.
    """

    signs: Floats
    center: Floats
    spread: Floats
    bends: Floats
    slopes: Floats
    intercept: float

    @classmethod
    def fit(cls, columns: Floats, signs: Floats, label: Floats) -> Self:
        """Maximise the likelihood, less a penalty on the squares of the slopes."""
        logs = _logs(columns, signs)
        center, spread = logs.mean(axis=0), logs.std(axis=0) + 1e-9
        bends = np.quantile((logs - center) / spread, BENDS, axis=0)
        draft = cls(signs, center, spread, bends, np.zeros((1 + 2 * len(bends), len(signs))), 0.0)
        basis = np.concatenate(list(draft._lines(columns)), axis=1)
        scale = basis.std(axis=0) + 1e-9
        basis /= scale
        rate = np.clip(label.mean(), 1e-6, 1 - 1e-6)
        start = np.append(np.log(rate / (1 - rate)), np.zeros(basis.shape[1]))

        def loss(at: Floats) -> tuple[float, Floats]:
            odds = basis @ at[1:] + at[0]
            error = (1 / (1 + np.exp(-odds)) - label) / len(label)
            gradient = np.append(error.sum(), basis.T @ error + PENALTY * at[1:])
            value = (np.logaddexp(0, odds) - label * odds).mean()
            return float(value + PENALTY / 2 * (at[1:] ** 2).sum()), gradient

        bounds = [(None, None), *[(0.0, None)] * basis.shape[1]]
        # Products this small take longer shared out among threads than done by one.
        with threadpool_limits(1, user_api="blas"):
            found = minimize(
                loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 150}
            )
        slopes = (found.x[1:] / scale).reshape(draft.slopes.shape)
        return cls(signs, center, spread, bends, slopes, float(found.x[0]))

    def contributions(self, columns: Floats) -> Floats:
        """Return what each column adds to the log-odds; `intercept` is not among it."""
        parts = zip(self._lines(columns), self.slopes, strict=True)
        return np.asarray(sum(line * slope for line, slope in parts))

    def log_odds(self, columns: Floats) -> Floats:
        """Return the log-odds of each row."""
        return np.asarray(self.contributions(columns).sum(axis=1) + self.intercept)

    def _lines(self, columns: Floats) -> list[Floats]:
        at = (_logs(columns, self.signs) - self.center) / self.spread
        lines = [at]
        for bend in self.bends:
            lines += [np.maximum(at - bend, 0.0), np.minimum(at - bend, 0.0)]
        return lines

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` reads."""
        return {
            "signs": self.signs.tolist(),
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "bends": self.bends.tolist(),
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
