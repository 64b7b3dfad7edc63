"""Candidates by recent popularity, the same for all customers."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs


@dataclass
class Popular:
    """Number of baskets of the last 28 days with the product."""

    name: ClassVar[str] = "popular"
    reason: ClassVar[str] = "popular"
    limit: int = 100
    cols_: Ints = field(init=False, repr=False)
    popularity_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Count the baskets with each of `cols`."""
        self.cols_ = cols
        self.popularity_ = inputs.interactions.popularity()[cols].astype(np.float32)
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Repeat the counts for each customer."""
        shape = (len(rows), len(self.popularity_))
        return DenseScores(self.cols_, np.broadcast_to(self.popularity_, shape))
