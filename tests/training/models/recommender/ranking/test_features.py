"""Ranks of candidates within customers."""

import numpy as np

from training.models.recommender.ranking.features import ranks_within_customers


def test_ranks_start_at_zero_for_each_customer():
    rows = np.array([0, 0, 0, 4, 4])
    scores = np.array([0.1, np.nan, 0.9, 0.2, 0.3], dtype=np.float32)
    assert ranks_within_customers(rows, scores).tolist() == [1, 2, 0, 1, 0]


def test_ties_keep_their_order_within_each_customer():
    rows = np.array([3, 3, 3, 8, 8])
    scores = np.array([1, np.nan, 1, 0, 2], np.float32)
    assert ranks_within_customers(rows, scores).tolist() == [0, 2, 1, 1, 0]
