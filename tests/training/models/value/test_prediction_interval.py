import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics
from training.models.value.prediction_interval import SpendInterval


def test_customers_who_may_not_order_have_a_lower_quantile_of_zero():
    rng = np.random.default_rng(2)
    orders, per_order = np.repeat([0.2, 10.0], 1000), np.full(2000, 2.0)
    spent = rng.poisson(orders) * per_order
    low, high = SpendInterval.fit(orders, per_order, spent).quantiles(orders, per_order)
    assert low[0] == pytest.approx(0)
    assert 0 < low[-1] < 20 < high[-1]
    assert metrics.coverage(spent, low, high) == pytest.approx(0.88, abs=0.08)


def test_the_expectation_is_never_below_the_interval():
    ones = np.ones(100)
    low, high = SpendInterval.fit(ones, ones, 3 * ones).quantiles(ones, ones)
    assert low.max() == 1
    assert high.min() == 3


@given(st.integers(0, 1000), st.integers(1, 400))
def test_quantiles_and_width_never_fall_as_expected_orders_rise(seed, count):
    rng = np.random.default_rng(seed)
    orders, per_order = rng.gamma(0.5, 3, count), rng.gamma(2, 1, count)
    interval = SpendInterval.fit(orders, per_order, rng.poisson(orders) * per_order)
    more = np.sort(rng.gamma(0.5, 20, 300))
    low, high = interval.quantiles(more, np.ones(300))
    assert (low <= more * (1 + 1e-9)).all()
    assert (high >= more * (1 - 1e-9)).all()
    for quantity in (low, high, high - low):
        assert (np.diff(quantity) >= -1e-9 * more[1:]).all()
