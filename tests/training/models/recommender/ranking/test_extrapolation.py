"""Extrapolation of log-odds beyond the largest number of recent buyers in training."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.ranking.extrapolation import (
    EXTRAPOLATED_FEATURE,
    LinearExtrapolation,
)


def features(*values: float) -> pl.DataFrame:
    return pl.DataFrame({EXTRAPOLATED_FEATURE: np.array(values, np.float32)})


def test_the_correction_is_zero_up_to_the_largest_training_value():
    fitted = LinearExtrapolation.fit(features(0.0, 20.0, np.nan, 80.0))
    assert fitted.log_odds(features(0.0, 20.0, 80.0, np.nan)).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_log_odds_grow_with_the_log_beyond_the_largest_training_value():
    fitted = LinearExtrapolation.fit(features(10.0, 80.0))
    expected = [np.log(2), np.log(6)]
    assert fitted.log_odds(features(160.0, 480.0)).tolist() == pytest.approx(expected)


def test_the_correction_is_zero_without_training_values():
    empty = LinearExtrapolation.fit(features())
    zero = LinearExtrapolation.fit(features(0.0, np.nan))
    assert empty.log_odds(features(5.0)).tolist() == [0.0]
    assert zero.log_odds(features(5.0)).tolist() == [0.0]
