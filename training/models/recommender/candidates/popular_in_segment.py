"""What sells of late to customers of the same segment."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs

FACTORS = 12


@dataclass
class PopularAlike:
    """Segments of taste, by k-means on a few factors of what customers bought.

    Segments follow from purchases alone, so that they need no attributes of customers.
    """

    name: ClassVar[str] = "popular_alike"
    reason: ClassVar[str] = "popular_alike"
    limit: int = 25
    segments: int = 24
    cols_: Ints = field(init=False, repr=False)
    segment_: Ints = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Form the segments and count their baskets of the last 28 days."""
        known = moment.known
        self.cols_ = cols
        tastes = known.matrix(np.log1p(known.pairs["baskets"]), cols).astype(np.float64)
        segments = max(1, min(self.segments, known.shape[0] // 20))
        factors = min(FACTORS, len(cols) - 1, known.shape[0] - 1)
        with threadpool_limits(1):
            if segments == 1 or factors < 2:
                self.segment_ = np.zeros(known.shape[0], np.int64)
            else:
                svd = TruncatedSVD(factors, n_iter=3, random_state=0).fit_transform(tastes)
                length = np.maximum(np.linalg.norm(svd, axis=1, keepdims=True), 1e-9)
                means = MiniBatchKMeans(segments, n_init=1, random_state=0, max_iter=30)
                self.segment_ = means.fit_predict(svd / length).astype(np.int64)
        member = sparse.csr_matrix(
            (np.ones(known.shape[0]), (self.segment_, np.arange(known.shape[0]))),
            shape=(segments, known.shape[0]),
        )
        recent = known.matrix(known.pairs["baskets_28d"], cols)
        counts = np.asarray((member @ recent).toarray(), dtype=np.float32)
        chain = known.popularity()[cols].astype(np.float32)
        mix = chain / max(float(chain.sum()), 1.0)
        prior = 200.0
        self.shares_ = (counts + prior * mix) / (counts.sum(axis=1, keepdims=True) + prior)
        return self

    def scores(self, rows: Ints) -> Dense:
        """Look up the customers' segments."""
        return Dense(self.cols_, self.shares_[self.segment_[rows]])
