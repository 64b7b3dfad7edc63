"""Metrics of ranked lists, against values computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics


def test_ndcg_equals_the_value_computed_by_hand():
    hits = np.array([[True, False, True]])
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg_at_k(hits, [2], 3) == pytest.approx([(1 + 0.5) / ideal])


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(1, 10))
def test_ranking_metrics_lie_between_zero_and_one(row, size):
    hits = np.array([row])
    size = max(size, sum(row))
    for value in (
        metrics.recall_at_k(hits, [size], 10),
        metrics.ndcg_at_k(hits, [size], 10),
        metrics.precision_at_k(hits, 10),
        metrics.hit_rate_at_k(hits, 10),
    ):
        assert 0 <= value[0] <= 1 + 1e-12
