"""Candidates by popularity at customers' locations."""

import numpy as np

from training.models.recommender.candidates.popular_at_location import PopularAtLocation


def test_products_score_higher_for_customers_of_the_location_where_they_sell(two_locations):
    interactions = two_locations.interactions
    cols = np.arange(interactions.shape[1])
    scores = PopularAtLocation().fit(two_locations, cols).scores(np.array([0, 1])).values
    milk, tea = (interactions.products.tolist().index(name) for name in ("milk", "tea"))
    assert scores[0, milk] > scores[1, milk]
    assert scores[1, tea] > scores[0, tea]
