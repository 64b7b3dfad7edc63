"""What sold most of late, to everyone."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs


@dataclass
class Popular:
    """What most baskets of the last 28 days held; the same for everyone."""

    name: ClassVar[str] = "popular"
    reason: ClassVar[str] = "popular"
    limit: int = 100
    cols_: Ints = field(init=False, repr=False)
    popularity_: Float32s = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Count baskets."""
        self.cols_ = cols
        self.popularity_ = moment.known.popularity()[cols].astype(np.float32)
        return self

    def scores(self, rows: Ints) -> Dense:
        """Repeat the counts for each customer."""
        return Dense(
            self.cols_, np.broadcast_to(self.popularity_, (len(rows), len(self.popularity_)))
        )
