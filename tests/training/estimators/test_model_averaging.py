import numpy as np
import pytest

from training.estimators.model_averaging import member_weights

PRIOR = {"good": 0.25, "bad": 0.75}
TRUTH = np.random.default_rng(0).normal(0, 1, 500)
MEMBERS = np.stack([TRUTH, np.zeros(500)], axis=1)


def loss(weights):
    return float(np.abs(MEMBERS @ weights - TRUTH).mean())


def test_the_member_with_the_lower_loss_gets_the_weight():
    weights = member_weights(loss, PRIOR, 1e-3)
    assert weights["good"] > 0.95
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= 0


def test_few_examples_hardly_move_the_prior():
    assert member_weights(loss, PRIOR, 100.0) == pytest.approx(PRIOR, abs=0.01)


def test_equal_members_keep_the_prior():
    assert member_weights(lambda _: 1.0, PRIOR, 0.1) == pytest.approx(PRIOR)
