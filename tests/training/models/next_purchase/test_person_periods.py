import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.models.next_purchase.person_periods import bin_edges


@given(st.integers(30, 200))
def test_bins_cover_every_day_once(horizon):
    edges = bin_edges(horizon)
    assert edges[0] == 0
    assert edges[-1] == horizon
    assert (np.diff(edges) > 0).all()
