"""From a ranker's log-odds to a chance that a person can read; light imports only."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Floats

STEPS = 25


@dataclass(frozen=True)
class LogisticCalibration:
    """A logistic curve over log-odds and the customer's basket size; rises with the odds."""

    slope: float
    of_size: float
    base: float

    @classmethod
    def fit(cls, raw: Floats, size: Floats, bought: NDArray[np.bool_], weight: Floats) -> Self:
        """Fit to what was bought, by Newton's method (iteratively reweighted least squares)."""
        inputs = np.column_stack([raw, np.log1p(size), np.ones(len(raw))])
        found = np.array([1.0, 0.0, 0.0])
        # A breath of ridge keeps the steps finite where sizes do not differ.
        ridge = 1e-3 * np.eye(3)
        for _ in range(STEPS):
            chance = 1.0 / (1.0 + np.exp(-np.clip(inputs @ found, -30, 30)))
            pull = inputs.T @ (weight * (bought - chance))
            bend = (inputs * (weight * chance * (1 - chance))[:, None]).T @ inputs
            step = np.linalg.solve(bend + ridge, pull)
            found = found + np.clip(step, -2.0, 2.0)
            if np.abs(step).max() < 1e-7:
                break
        # A slope that is not above zero would turn the ranking round.
        return cls(max(float(found[0]), 1e-3), float(found[1]), float(found[2]))

    def at(self, raw: Floats, size: Floats) -> Floats:
        """Chance of being bought."""
        odds = self.slope * raw + self.of_size * np.log1p(size) + self.base
        found: Floats = 1.0 / (1.0 + np.exp(-odds))
        return found
