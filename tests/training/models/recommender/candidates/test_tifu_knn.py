"""Neighbours of TIFU-KNN."""

import numpy as np
import pytest

from training.models.recommender.candidates.tifu_knn import TifuKnn


def test_a_customer_is_not_their_own_neighbour(interactions, inputs, cols):
    customers = interactions.shape[0]
    fitted = TifuKnn(k=customers - 1).fit(inputs, cols)
    baskets = fitted.reference_baskets_.toarray()
    expected = (baskets.sum(axis=0) - baskets) / (customers - 1)
    assert fitted.scores(np.arange(customers)).values == pytest.approx(expected, abs=1e-5)
