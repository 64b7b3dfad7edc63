"""Containers of candidate scores: what is a candidate, limits, ties and look-ups."""

import numpy as np
from scipy import sparse

from training.models.recommender.candidates.base import DenseScores, SparseScores

NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_products_with_a_score_of_zero_are_no_candidates():
    dense = DenseScores(np.array([3, 7]), np.array([[0.0, 2.0]], np.float32))
    assert dense.top(2, NOTHING)[1].tolist() == [7]


def test_sparse_candidates_are_each_customers_best_and_ties_go_to_the_lower_code():
    scores = SparseScores(sparse.csr_matrix(np.array([[0, 2, 1, 3, 2, 2], [0, 0, 0, 0, 0, 5]])))
    positions, products = scores.top(2, (np.array([0]), np.array([3])))
    assert list(zip(positions.tolist(), products.tolist(), strict=True)) == [(0, 1), (0, 4), (1, 5)]


def test_ties_at_the_limit_go_to_the_first_columns():
    cols = np.array([3, 5, 7, 9])
    scores = np.array([[1, 2, 1, 1], [0, 1, 0, 1], [4, 3, 2, 1], [0, 0, 0, 0]], np.float32)
    positions, products = DenseScores(cols, scores).top(2, NOTHING)
    assert positions.tolist() == [0, 0, 1, 1, 2, 2]
    assert products.tolist() == [3, 5, 5, 9, 3, 5]
    empty = DenseScores(cols[:0], scores[:, :0]).top(2, NOTHING)
    assert [part.tolist() for part in empty] == [[], []]
