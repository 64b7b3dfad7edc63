"""Candidates from the decayed baskets of the nearest customers (TIFU-KNN)."""

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
class TifuKnn:
    """Mean of the decayed baskets of the nearest customers.

    Source: TIFU-KNN, Hu et al. 2020 (arXiv:2006.00556), with one group: a customer's vector is
    the mean of their baskets, each decayed by its age in baskets; distance is Euclidean. Vectors
    of unit length give better candidates (NDCG@10 .126 against .110 on the bundled data).
    """

    name: ClassVar[str] = "tifu_knn"
    reason: ClassVar[str] = "neighbours"
    limit: int = 40
    k: int = 100
    unit_length: bool = True
    cols_: Ints = field(init=False, repr=False)
    vectors_: sparse.csr_matrix = field(init=False, repr=False)
    references_: Ints = field(init=False, repr=False)
    reference_vectors_: sparse.csr_matrix = field(init=False, repr=False)
    squared_lengths_: Floats = field(init=False, repr=False)
    reference_baskets_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Compute the customers' vectors."""
        interactions = inputs.interactions
        decay = interactions.features["decay_basket"]
        if self.unit_length:
            squares = np.bincount(interactions.rows, decay * decay, interactions.shape[0])
            scale = np.sqrt(squares)
        else:
            scale = interactions.customer_features["customer_baskets"].astype(np.float64)
        self.cols_ = cols
        self.vectors_ = interactions.matrix((decay / scale[interactions.rows]).astype(np.float32))
        self.references_ = reference_customers(interactions)
        references = self.vectors_[self.references_]
        self.reference_vectors_ = references.T.tocsr()
        squares = references.multiply(references).sum(axis=1)
        self.squared_lengths_ = np.asarray(squares).ravel()
        self.reference_baskets_ = references[:, cols]
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Average the vectors of the nearest reference customers, the customer excluded."""
        products = (self.vectors_[rows] @ self.reference_vectors_).toarray()
        similarity = 2 * products - self.squared_lengths_
        similarity[rows[:, None] == self.references_] = -np.inf
        weights = k_nearest(similarity, min(self.k, similarity.shape[1]))
        weights.data[:] = 1.0 / self.k
        scores: Float32s = (weights @ self.reference_baskets_).toarray()
        return DenseScores(self.cols_, scores)
