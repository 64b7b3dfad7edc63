"""Candidates by popularity."""

import numpy as np

from training.models.recommender.candidates.popular import Popular


def test_scores_are_the_same_for_all_customers_and_ordered_by_recent_baskets(interactions, inputs):
    top = interactions.most_popular(20)
    recent = interactions.sum_by_product("baskets_28d")[top]
    scores = Popular().fit(inputs, np.sort(top)).scores(np.array([0, 5])).values
    assert np.array_equal(scores[0], scores[1])
    assert (np.diff(recent) <= 0).all()
