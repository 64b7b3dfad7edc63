"""Similarity of UP-CF."""

import numpy as np

from training.models.recommender.candidates.user_knn import UserKnn


def test_a_high_power_leaves_only_customers_with_the_same_products(inputs, cols):
    fitted = UserKnn(q=50.0, alpha=0.5).fit(inputs, cols)
    own_share = fitted.recent_shares_[3].toarray().ravel()
    scores = fitted.scores(np.array([3])).values.ravel()
    assert np.corrcoef(scores, own_share)[0, 1] > 0.99
