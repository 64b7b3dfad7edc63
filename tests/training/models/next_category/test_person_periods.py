import numpy as np

from training.models.next_category.person_periods import bin_edges


def test_bins_cover_every_day_once():
    for horizon in (30, 56, 61, 200):
        edges = bin_edges(horizon)
        assert (edges[0], edges[-1]) == (0, horizon)
        assert (np.diff(edges) > 0).all()
