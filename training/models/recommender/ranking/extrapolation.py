"""Linear extrapolation beyond the range that trees saw.

Features of candidates in; corrections of the boosters' log-odds out. A tree gives all values
above the largest training value the same score, but the number of recent buyers has no maximum.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats

# The probability of purchase grows in proportion to it, so log-odds grow with its log.
EXTRAPOLATED_FEATURE = "product_takers_1d"


@dataclass(frozen=True)
class LinearExtrapolation:
    """Correction that is linear in the log of `EXTRAPOLATED_FEATURE`.

    Attributes
    ----------
    largest
        Largest value in the training examples.
    """

    largest: float

    @classmethod
    def fit(cls, features: pl.DataFrame) -> Self:
        """Record the largest value."""
        values = features.get_column(EXTRAPOLATED_FEATURE).to_numpy()
        return cls(float(np.nan_to_num(values).max(initial=0.0)))

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the log of each value over the largest training value; zero below it."""
        column = features.get_column(EXTRAPOLATED_FEATURE)
        values = np.nan_to_num(column.to_numpy().astype(np.float64))
        if self.largest <= 0:  # no product was bought on the last day of any training example
            return np.zeros(len(values))
        return np.asarray(np.log(np.maximum(values / self.largest, 1.0)))
