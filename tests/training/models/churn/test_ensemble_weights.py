import numpy as np
import pytest

from training.models.churn.ensemble_weights import HeldOut, fit_weights


def test_the_member_of_higher_likelihood_gets_the_weight():
    rng = np.random.default_rng(1)
    true, noise = rng.normal(0, 1.5, 3000), rng.normal(0, 1.5, 3000)
    label = (rng.random(3000) < 1 / (1 + np.exp(-true))).astype(float)
    good = HeldOut(np.stack([noise, true, noise], axis=1), label, 1.0)
    trees, logit, process = fit_weights([good], with_trees=True)
    assert logit > 0.85
    assert trees + logit + process == pytest.approx(1)
    unimportant = HeldOut(np.stack([true, noise, true], axis=1), label, 0.01)
    assert fit_weights([good, unimportant], with_trees=True)[1] > 0.8
    assert fit_weights([unimportant], with_trees=False)[0] == 0
