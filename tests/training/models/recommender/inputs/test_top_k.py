"""Boundaries and largest values of groups in a flat array."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.models.recommender.inputs.top_k import at_least_kth_largest, group_boundaries


def test_boundaries_include_empty_groups():
    assert group_boundaries(np.array([0, 0, 2]), 4).tolist() == [0, 2, 2, 3, 3]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30), st.integers(1, 4))
def test_values_at_least_as_large_as_the_kth_of_their_group_are_marked(rows, k):
    rows = sorted(rows, key=lambda row: row[0])
    groups = np.array([group for group, _ in rows], np.int64)
    values = np.array([value for _, value in rows], np.float64)
    marked = at_least_kth_largest(groups, values, k, 4)
    for group in range(4):
        members = values[groups == group]
        threshold = np.sort(members)[-k] if len(members) > k else -np.inf
        assert marked[groups == group].tolist() == (members >= threshold).tolist()
