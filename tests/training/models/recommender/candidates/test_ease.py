"""EASE weights against ridge regression solved product by product."""

import numpy as np
import pytest

from training.models.recommender.candidates.ease import Ease


def test_weights_are_ridge_coefficients_of_each_product_on_the_others(interactions, inputs, cols):
    few = cols[:30]
    ease = Ease(l2=10.0).fit(inputs, few)
    counts = np.log1p(interactions.features["baskets"])
    x = interactions.matrix(counts, few).toarray().astype(float)
    for product in (0, 7):
        others = np.delete(np.arange(30), product)
        ridge = np.linalg.solve(
            x[:, others].T @ x[:, others] + 10.0 * np.eye(29), x[:, others].T @ x[:, product]
        )
        assert ease.weights_[others, product] == pytest.approx(ridge, abs=1e-4)
        assert ease.weights_[product, product] == 0.0
