"""What trees cannot say: a product that more people take than any that was learned from.

Features of candidates in, what boosters' log-odds lack out. A tree takes all that lies beyond
the largest value that it saw for alike; who takes a product has no such end.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats

# Chances grow with it, so log-odds with its log.
GROWING = "product_takers_1d"


@dataclass(frozen=True)
class Beyond:
    """The largest value that trees learned from."""

    largest: float

    @classmethod
    def fit(cls, features: pl.DataFrame) -> Self:
        """Look up the largest value."""
        values = features.get_column(GROWING).to_numpy()
        return cls(float(np.nan_to_num(values).max(initial=0.0)))

    def odds(self, features: pl.DataFrame) -> Floats:
        """Log of how many times the largest value a candidate's is; zero up to it."""
        values = np.nan_to_num(features.get_column(GROWING).to_numpy().astype(np.float64))
        if self.largest <= 0:  # nothing was learned of it
            return np.zeros(len(values))
        return np.asarray(np.log(np.maximum(values / self.largest, 1.0)))
