"""Candidates by EASE: item-to-item weights of a linear autoencoder."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs


@dataclass
class Ease:
    """Item-to-item weights by ridge regression of each product on all others.

    Source: EASE, Steck 2019 (arXiv:1905.03375), on log counts: with P the inverse of
    X'X + l2 I, the weights are I - P / diag(P).
    """

    name: ClassVar[str] = "ease"
    reason: ClassVar[str] = "similar"
    limit: int = 50
    l2: float = 200.0
    cols_: Ints = field(init=False, repr=False)
    counts_: sparse.csr_matrix = field(init=False, repr=False)
    weights_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Solve for the weights between `cols`."""
        self.cols_ = cols
        interactions = inputs.interactions
        self.counts_ = interactions.matrix(
            np.log1p(interactions.features["baskets"]).astype(np.float32), cols
        )
        gram = (self.counts_.T @ self.counts_).toarray()
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        # The matrix is positive definite: Cholesky needs half the work of a general inverse.
        # One thread, because the last bits depend on the number of threads.
        with threadpool_limits(1):
            factor, _ = linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
            weights, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
        # The upper triangle is zero; the diagonal is counted twice.
        weights = weights + weights.T
        weights /= -0.5 * np.diag(weights)
        weights[np.diag_indices_from(weights)] = 0.0
        self.weights_ = weights
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Multiply customers' log counts by the weights, row by row in a sparse product."""
        scores: Float32s = self.counts_[rows] @ self.weights_
        return DenseScores(self.cols_, scores)
