from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from training.customers.monotone_features import monotone_sign
from training.customers.rfm_logistic import SIGNS, RfmLogistic

RANDOM = np.random.default_rng(0)
FEATURES = pl.DataFrame({name: RANDOM.gamma(2.0, 10.0, 3000) for name in SIGNS})
RATES = np.log(RANDOM.choice([0.2, 0.5, 0.8], 3000))


@pytest.fixture(scope="module")
def fitted():
    odds = RATES + np.log1p(FEATURES["recency"].to_numpy()) - 3
    label = (RANDOM.random(3000) < 1 / (1 + np.exp(-odds))).astype(float)
    return RfmLogistic.fit(FEATURES, RATES, label)


def test_signs_are_those_of_the_monotone_features():
    assert {name: monotone_sign(name) for name in SIGNS} == SIGNS


def test_the_feature_that_decides_gets_the_slope(fitted):
    recency = fitted.scaling.slopes[1] / fitted.scale[0]
    assert recency == pytest.approx(1, abs=0.2)
    assert fitted.scaling.slopes[0] == pytest.approx(1, abs=0.2)
    assert max(fitted.scaling.slopes[2:]) < 0.15


def test_log_odds_rise_with_recency_and_with_the_mean(fitted):
    base = fitted.log_odds(fitted.contributions(FEATURES), RATES)
    later = FEATURES.with_columns(pl.col("recency") + 7)
    assert (fitted.log_odds(fitted.contributions(later), RATES) > base).all()
    assert (fitted.log_odds(fitted.contributions(FEATURES), RATES + 0.1) > base).all()


def test_a_saved_regression_predicts_the_same(fitted):
    again = RfmLogistic.from_json(asdict(fitted))
    before, after = (x.log_odds(x.contributions(FEATURES), RATES) for x in (fitted, again))
    assert (after == before).all()
