"""Candidates from recent baskets of customers with a similar assortment (UP-CF)."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from features.typing import Float32s, Floats, Ints
from training.models.recommender.candidates.base import (
    DenseScores,
    RecommenderInputs,
    k_nearest,
    reference_customers,
)


@dataclass
class UserKnn:
    """Purchases of customers with a similar assortment in their last ten baskets.

    Source: UP-CF, Faggioli, Polato and Aiolli 2020 (recency aware collaborative filtering for
    next basket recommendation): asymmetric cosine of the sets of products bought, to the power
    of q.
    """

    name: ClassVar[str] = "user_knn"
    reason: ClassVar[str] = "neighbours"
    limit: int = 40
    alpha: float = 0.75
    q: float = 5.0
    k: int = 300
    cols_: Ints = field(init=False, repr=False)
    bought_: sparse.csr_matrix = field(init=False, repr=False)
    recent_shares_: sparse.csr_matrix = field(init=False, repr=False)
    reference_bought_: sparse.csr_matrix = field(init=False, repr=False)
    reference_norm_: Floats = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Collect the customers' sets of products, and the references' recent shares."""
        interactions = inputs.interactions
        self.cols_ = cols
        self.bought_ = interactions.matrix(np.ones(len(interactions.rows), np.float32))
        references = reference_customers(interactions)
        bought = self.bought_[references]
        self.reference_bought_ = bought.T.tocsr()
        size = np.maximum(np.asarray(bought.sum(axis=1)), 1.0).ravel()
        self.reference_norm_ = size ** (1 - self.alpha)
        baskets = interactions.customer_features["customer_baskets"]
        last = np.minimum(10, baskets)[interactions.rows]
        share = (interactions.features["baskets_last_10"] / last).astype(np.float32)
        self.recent_shares_ = interactions.matrix(share)[references][:, cols]
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Sum the references' recent shares, weighted by similarity."""
        bought = self.bought_[rows]
        common = (bought @ self.reference_bought_).toarray()
        norm = np.maximum(np.asarray(bought.sum(axis=1)), 1.0) ** self.alpha
        cosine = (common / norm / self.reference_norm_).astype(np.float32)
        similarity = cosine ** np.float32(self.q)
        weights = k_nearest(similarity, min(self.k, similarity.shape[1]))
        scores: Float32s = (weights @ self.recent_shares_).toarray()
        return DenseScores(self.cols_, scores)
