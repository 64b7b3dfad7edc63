"""UP-CF: what customers with a similar range bought lately."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from features.typing import Float32s, Floats, Ints
from training.models.recommender.candidates.base import (
    Dense,
    RecommenderInputs,
    nearest,
    references,
)


@dataclass
class UserKnn:
    """What customers with a similar range bought in their last ten baskets.

    Source: UP-CF, Faggioli, Polato and Aiolli 2020 (recency aware collaborative filtering
    for next basket recommendation): asymmetric cosine of the ranges, to the power of q.
    """

    name: ClassVar[str] = "user_popularity"
    reason: ClassVar[str] = "neighbours"
    limit: int = 40
    alpha: float = 0.75
    q: float = 5.0
    k: int = 300
    cols_: Ints = field(init=False, repr=False)
    ranges_: sparse.csr_matrix = field(init=False, repr=False)
    recent_: sparse.csr_matrix = field(init=False, repr=False)
    among_: sparse.csr_matrix = field(init=False, repr=False)
    theirs_: Floats = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Lay out the customers' ranges and their recent shares."""
        known = moment.known
        self.cols_ = cols
        self.ranges_ = known.matrix(np.ones(len(known.rows), np.float32))
        others = references(known)
        among = self.ranges_[others]
        self.among_ = among.T.tocsr()
        size = np.maximum(np.asarray(among.sum(axis=1)), 1.0).ravel()
        self.theirs_ = size ** (1 - self.alpha)
        last = np.minimum(10, known.customer["customer_baskets"])[known.rows]
        share = (known.pairs["baskets_last_10"] / last).astype(np.float32)
        self.recent_ = known.matrix(share)[others][:, cols]
        return self

    def scores(self, rows: Ints) -> Dense:
        """Sum the recent shares, weighted by similarity."""
        ranges = self.ranges_[rows]
        common = (ranges @ self.among_).toarray()
        mine = np.maximum(np.asarray(ranges.sum(axis=1)), 1.0) ** self.alpha
        near = (common / mine / self.theirs_).astype(np.float32) ** np.float32(self.q)
        weights = nearest(near, min(self.k, near.shape[1]))
        found: Float32s = (weights @ self.recent_).toarray()
        return Dense(self.cols_, found)
