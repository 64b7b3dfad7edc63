import numpy as np
import pytest

from training.estimators.platt_scaling import PlattScaling, log_odds_of


def drawn(log_odds: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (rng.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))).astype(float)


def test_slope_and_intercept_of_outcomes_are_found():
    log_odds = np.random.default_rng(4).normal(-2, 1, 8000)
    scaling = PlattScaling.fit(log_odds[:, None], drawn(0.7 * log_odds + 0.8), (1.0,))
    assert scaling.slopes[0] == pytest.approx(0.7, abs=0.1)
    assert scaling.intercept == pytest.approx(0.8, abs=0.2)


def test_the_predictor_that_holds_gets_the_weight():
    right, wrong = np.random.default_rng(5).normal(0, 1.5, (2, 4000))
    scaling = PlattScaling.fit(np.stack([right, wrong], axis=1), drawn(right), (0.5, 0.5))
    assert scaling.slopes == pytest.approx((1.0, 0.0), abs=0.1)
    assert min(scaling.slopes) >= 0


def test_few_outcomes_hardly_move_the_prior():
    scaling = PlattScaling.fit(np.array([[2.0, -1.0]]), np.array([0.0]), (0.5, 0.5))
    assert scaling.slopes == pytest.approx((0.5, 0.5), abs=0.3)


def test_log_odds_of_certain_outcomes_are_finite():
    assert np.isfinite(log_odds_of([0.0, 1.0])).all()
    assert log_odds_of(0.5) == pytest.approx(0)
