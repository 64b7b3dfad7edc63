"""Gamma-Gamma, against published values and simulated spend."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from training.estimators.gamma_gamma import GammaGamma, negative_log_likelihood

# Parameters published for CDNOW customers with repeat purchases (Fader and Hardie 2013).
PUBLISHED = GammaGamma(6.25, 3.74, 15.44)


def simulate(customers=8000):
    rng = np.random.default_rng(3)
    x = rng.geometric(0.25, customers).astype(float)
    speed = rng.gamma(PUBLISHED.q, 1 / PUBLISHED.gamma, customers)
    return x, rng.gamma(PUBLISHED.p * x, 1 / speed) / x


def test_parameters_are_recovered_from_simulated_spend():
    fitted = GammaGamma.fit(*simulate())
    assert fitted.p == pytest.approx(PUBLISHED.p, rel=0.1)
    assert fitted.q == pytest.approx(PUBLISHED.q, rel=0.1)
    assert fitted.population_mean == pytest.approx(PUBLISHED.population_mean, rel=0.03)


def test_the_published_parameters_give_the_published_mean():
    assert PUBLISHED.population_mean == pytest.approx(35.2, abs=0.1)


@pytest.mark.parametrize("logs", [[0.7, 1.4, 1.1], [1.8, 1.3, 2.7]])
def test_the_gradient_is_that_of_finite_differences(logs):
    x, m = simulate(500)
    error = check_grad(
        lambda point: negative_log_likelihood(point, x, m)[0],
        lambda point: negative_log_likelihood(point, x, m)[1],
        np.array(logs),
    )
    assert error < 1e-5


def test_customers_without_spend_or_purchases_are_left_out():
    x, m = simulate(500)
    more = GammaGamma.fit(np.append(x, [0.0, 5.0]), np.append(m, [9.0, 0.0]))
    assert more == GammaGamma.fit(x, m)


def test_predictions_scale_with_the_currency():
    x, m = simulate(500)
    units, cents = GammaGamma.fit(x, m), GammaGamma.fit(x, 100 * m)
    np.testing.assert_allclose(
        cents.expected_spend(x, 100 * m), 100 * units.expected_spend(x, m), rtol=1e-6
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200), st.floats(0.5, 500))
def test_the_expected_spend_lies_between_the_customers_and_the_population_mean(purchases, mean):
    expected = float(PUBLISHED.expected_spend(purchases, mean))
    low, high = sorted((mean, PUBLISHED.population_mean))
    assert low - 1e-9 <= expected <= high + 1e-9
