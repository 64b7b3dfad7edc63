import numpy as np
import pytest

from training.models.churn.seasonal_calibration import PlattScaling, best_calibration


def test_a_season_of_more_churn_is_calibrated_on_its_outcomes():
    rng = np.random.default_rng(4)
    log_odds = rng.normal(-2, 1, 4000)
    label = (rng.random(4000) < 1 / (1 + np.exp(-(log_odds + 0.8)))).astype(float)
    scaling = PlattScaling.fit(log_odds, label)
    assert scaling.intercept == pytest.approx(0.8, abs=0.15)
    candidates = {"year before": PlattScaling(1.0, 0.7), "newest": PlattScaling()}
    assert best_calibration(log_odds, label, candidates) == "year before"


def test_noise_is_not_calibrated():
    rng = np.random.default_rng(5)
    log_odds = rng.normal(-2, 1, 2000)
    label = (rng.random(2000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    assert best_calibration(log_odds, label, {"newest": PlattScaling(1.0, 0.03)}) is None
