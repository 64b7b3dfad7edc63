"""The logistic calibration recovers a known curve and is the weighted maximum likelihood fit."""

import numpy as np
import pytest

from training.models.recommender.ranking.calibration_training import MIN_SLOPE, fit_calibration

ROWS = 20_000


@pytest.fixture(scope="module")
def examples():
    """Scores, basket sizes, purchases by a known curve, and weights."""
    rng = np.random.default_rng(7)
    score, size = rng.normal(size=ROWS), rng.exponential(9, ROWS)
    log_odds = 1.5 * score + 0.4 * np.log1p(size) - 3.0
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-log_odds))
    return score, size, bought, np.where(bought, 1.0, 10.0)


def test_a_known_curve_is_recovered(examples):
    score, size, bought, _ = examples
    curve = fit_calibration(score, size, bought, np.ones(ROWS))
    assert curve.slope == pytest.approx(1.5, abs=0.1)
    assert curve.size_slope == pytest.approx(0.4, abs=0.1)
    assert curve.intercept == pytest.approx(-3.0, abs=0.2)


def test_the_weighted_gradient_of_the_likelihood_is_zero(examples):
    score, size, bought, weight = examples
    curve = fit_calibration(score, size, bought, weight)
    residuals = weight * (bought - curve.probability(score, size))
    inputs = np.column_stack([score, np.log1p(size), np.ones(ROWS)])
    assert np.abs(inputs.T @ residuals / weight.sum()).max() < 1e-6


def test_equal_basket_sizes_are_no_obstacle(examples):
    score, _, bought, weight = examples
    curve = fit_calibration(score, np.full(ROWS, 4.0), bought, weight)
    expected = np.average(bought, weights=weight)
    mean = np.average(curve.probability(score, np.full(ROWS, 4.0)), weights=weight)
    assert mean == pytest.approx(expected, rel=1e-6)


def test_the_slope_stays_positive_if_higher_scores_are_bought_less(examples):
    score, size, bought, weight = examples
    assert fit_calibration(-score, size, bought, weight).slope == MIN_SLOPE


@pytest.mark.parametrize("bought", [True, False])
def test_probabilities_are_finite_if_all_examples_have_one_outcome(bought):
    score = np.array([-1.0, 0.0, 2.0])
    curve = fit_calibration(score, np.ones(3), np.full(3, bought), np.ones(3))
    probability = curve.probability(score, np.ones(3))
    assert (np.diff(probability) > 0).all()
    assert ((probability > 0.5) == bought).any()
