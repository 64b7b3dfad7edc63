"""Candidates by recent popularity among customers of the same segment."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs

FACTORS = 12
MIN_CUSTOMERS_PER_SEGMENT = 20
# Baskets with the chain's mix that are added to each segment's baskets.
PRIOR_BASKETS = 200.0


@dataclass
class PopularInSegment:
    """Share of a segment's baskets of the last 28 days, shrunk towards the chain's share.

    Segments are k-means clusters of a few factors of the customers' purchases; customer
    attributes are not needed.
    """

    name: ClassVar[str] = "popular_in_segment"
    reason: ClassVar[str] = "popular_alike"
    limit: int = 25
    segments: int = 24
    cols_: Ints = field(init=False, repr=False)
    segment_: Ints = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Cluster customers, and count the baskets of each cluster."""
        interactions = inputs.interactions
        customers = interactions.shape[0]
        self.cols_ = cols
        purchases = interactions.matrix(np.log1p(interactions.features["baskets"]), cols)
        segments = max(1, min(self.segments, customers // MIN_CUSTOMERS_PER_SEGMENT))
        self.segment_ = _cluster(purchases.astype(np.float64), segments)
        member = sparse.csr_matrix(
            (np.ones(customers), (self.segment_, np.arange(customers))),
            shape=(segments, customers),
        )
        recent = interactions.matrix(interactions.features["baskets_28d"], cols)
        counts = np.asarray((member @ recent).toarray(), dtype=np.float32)
        chain = interactions.popularity()[cols].astype(np.float32)
        mix = chain / max(float(chain.sum()), 1.0)
        totals = counts.sum(axis=1, keepdims=True)
        self.shares_ = (counts + PRIOR_BASKETS * mix) / (totals + PRIOR_BASKETS)
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Look up the shares of the customers' segments."""
        return DenseScores(self.cols_, self.shares_[self.segment_[rows]])


def _cluster(purchases: sparse.csr_matrix, segments: int) -> Ints:
    """Return the cluster of each row, by direction in factor space; all 0 if data are too few."""
    customers, products = purchases.shape
    factors = min(FACTORS, products - 1, customers - 1)
    if segments == 1 or factors < 2:
        return np.zeros(customers, np.int64)
    with threadpool_limits(1):
        vectors = TruncatedSVD(factors, n_iter=3, random_state=0).fit_transform(purchases)
        length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        means = MiniBatchKMeans(segments, n_init=1, random_state=0, max_iter=30)
        return np.asarray(means.fit_predict(vectors / length).astype(np.int64))
