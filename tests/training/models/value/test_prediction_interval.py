import numpy as np
import pytest

from training import metrics
from training.models.value.prediction_interval import SpendInterval


def test_customers_who_may_not_order_have_a_lower_quantile_of_zero():
    rng = np.random.default_rng(2)
    orders = np.repeat([0.2, 10.0], 1000)
    spent = rng.poisson(orders) * 2.0
    low, high = SpendInterval.fit(orders, 2 * orders, spent).quantiles(orders, 2 * orders)
    assert low[0] == 0
    assert 0 < low[-1] < 20 < high[-1]
    assert metrics.coverage(spent, low, high) == pytest.approx(0.88, abs=0.08)


def test_the_expectation_is_never_below_the_interval():
    ones = np.ones(100)
    low, high = SpendInterval.fit(ones, ones, 3 * ones).quantiles(ones, ones)
    assert low.max() == 1
    assert high.min() == 3
