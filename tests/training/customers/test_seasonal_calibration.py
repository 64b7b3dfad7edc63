import numpy as np

from training.customers.seasonal_calibration import has_level_bias, is_worse
from training.estimators.platt_scaling import PlattScaling


def outcomes(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted log-odds, and outcomes whose log-odds are higher by `shift`."""
    rng = np.random.default_rng(4)
    log_odds = rng.normal(-2, 1, 4000)
    return log_odds, (rng.random(4000) < 1 / (1 + np.exp(-(log_odds + shift)))).astype(float)


def test_a_season_of_more_churn_is_a_level_bias_that_its_calibration_mends():
    log_odds, label = outcomes(0.8)
    assert has_level_bias(log_odds, label)
    assert not is_worse(PlattScaling((1.0,), 0.7), log_odds, label)


def test_noise_is_no_level_bias_and_a_calibration_for_it_is_worse():
    log_odds, label = outcomes(0.0)
    assert not has_level_bias(log_odds, label)
    assert is_worse(PlattScaling((1.0,), 0.7), log_odds, label)
