from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import to_day
from features.dataset import Dataset
from training.customers.cutoffs import customer_features, follow_up
from training.customers.monotone_inputs import monotone_inputs
from training.estimators.bg_nbd import ModifiedBgNbd
from training.models.churn.ensemble import ChurnEnsemble, EnsembleOptions, best_weights
from training.models.churn.ensemble_training import learn
from training.models.churn.monotone_logistic import MonotoneLogit
from training.models.churn.seasonal_calibration import Line, best_season

AS_OF = datetime(2017, 12, 4)
QUICK = EnsembleOptions(rounds=30, members=1)


@pytest.fixture(scope="module")
def learnt(journey):
    return learn(journey, AS_OF, 28, QUICK, cuts=6, step_days=14)


def test_contributions_add_up_to_the_log_odds(learnt, journey):
    stack, _ = learnt
    features = customer_features(journey, AS_OF)
    parts = stack.contributions(features)
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1), stack.log_odds(features), atol=1e-9)


def test_weights_are_convex(learnt):
    stack, _ = learnt
    assert min(stack.weights) >= 0
    assert sum(stack.weights) == pytest.approx(1)


def test_the_likelier_member_gets_the_weight():
    rng = np.random.default_rng(1)
    true, noise = rng.normal(0, 1.5, 3000), rng.normal(0, 1.5, 3000)
    label = (rng.random(3000) < 1 / (1 + np.exp(-true))).astype(float)
    right = np.stack([noise, true, noise], axis=1), label, 1.0
    trees, logit, process = best_weights([right], with_trees=True)
    assert logit > 0.85
    assert trees + logit + process == pytest.approx(1)
    other = np.stack([true, noise, true], axis=1), label, 0.01
    assert best_weights([right, other], with_trees=True)[1] > 0.8
    assert best_weights([other], with_trees=False)[0] == 0


def test_with_few_examples_there_are_no_trees(learnt):
    _, cuts = learnt
    few = [cut.select(np.arange(cut.features.height) < 40) for cut in cuts]
    stack = ChurnEnsemble.fit(ModifiedBgNbd(1, 10, 0.1, 1), 28, few, QUICK, (0.5, 0.3, 0.2))
    assert stack.boosters == ()
    assert stack.weights == (0.0, 0.8, 0.2)
    assert ((stack.chance(few[0].features) > 0) & (stack.chance(few[0].features) < 1)).all()


@pytest.mark.parametrize("customer", ["a", "b", "d", "7"])
def test_a_shop_of_one_customer_is_answered(customer):
    """Whoever it is: learnt from, or kept aside for a trial of what was learnt from others."""
    days = [datetime(2023, 1, 2) + timedelta(days=7 * week) for week in range(30)]
    lines = {"customer_id": customer, "line": 0, "quantity": 1.0, "kind": "sale"}
    orders = pl.DataFrame({"ts": days, "order_id": [f"{day}" for day in days]})
    orders = orders.with_columns(pl.lit(value).alias(name) for name, value in lines.items())
    shop = Dataset.from_frames("shop", {"orders": orders})
    stack, _ = learn(shop, shop.end, 14, QUICK, cuts=4, step_days=14)
    assert stack.boosters == ()
    assert stack.chance(customer_features(shop, shop.end))[0] < 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_logit_rises_in_each_column_as_its_sign_says(seed):
    rng = np.random.default_rng(seed)
    columns = rng.gamma(1.0, 5.0, (400, 3))
    signs = np.array([1.0, -1.0, 1.0])
    label = (rng.random(400) < 0.3).astype(float)
    logit = MonotoneLogit.fit(columns, signs, label)
    for k, sign in enumerate(signs):
        more = columns.copy()
        more[:, k] += 1.5
        assert (sign * (logit.log_odds(more) - logit.log_odds(columns)) >= -1e-12).all()
    assert (
        MonotoneLogit.from_json(logit.to_json()).log_odds(columns).tolist()
        == logit.log_odds(columns).tolist()
    )


def test_a_season_that_lies_higher_is_found_by_its_own_answers():
    rng = np.random.default_rng(4)
    said = rng.normal(-2, 1, 4000)
    label = (rng.random(4000) < 1 / (1 + np.exp(-(said + 0.8)))).astype(float)
    line = Line.fit(said, label)
    assert line.shift == pytest.approx(0.8, abs=0.15)
    assert best_season(said, label, {"year before": Line(1.0, 0.7), "newest": Line()}) == (
        "year before"
    )


def test_no_season_is_read_into_chance():
    rng = np.random.default_rng(5)
    said = rng.normal(-2, 1, 2000)
    label = (rng.random(2000) < 1 / (1 + np.exp(-said))).astype(float)
    assert best_season(said, label, {"newest": Line(1.0, 0.03)}) == "none"


def test_a_saved_stack_says_the_same(learnt, journey, tmp_path):
    stack, _ = learnt
    stack.save(tmp_path)
    features = customer_features(journey, AS_OF)
    assert ChurnEnsemble.load(tmp_path).chance(features).tolist() == stack.chance(features).tolist()


def test_nothing_at_or_after_as_of_is_learnt_from(learnt, journey, rewritten):
    stack, _ = learnt
    orders = journey.table("orders").to_native().filter(pl.col("ts") < AS_OF)
    again, _ = learn(rewritten(journey, orders=orders), AS_OF, 28, QUICK, cuts=6, step_days=14)
    features = customer_features(journey, AS_OF)
    assert again.chance(features).tolist() == stack.chance(features).tolist()


def test_half_the_horizon_is_learnt_of_customers_who_are_followed_no_further(learnt, journey):
    stack, known = learnt
    young = follow_up(journey, AS_OF, to_day(AS_OF) - 14, 28)
    assert young.follow_up_days == 14
    more = ChurnEnsemble.fit(stack.process, 28, [young, *known], QUICK)
    less = ChurnEnsemble.fit(stack.process, 28, known, QUICK)
    features = customer_features(journey, AS_OF)
    of_all, of_half = (
        [
            one.predict(monotone_inputs(features, stack.process, 28)[0]).tolist()
            for one in fit.boosters
        ]
        for fit in (more, less)
    )
    assert of_all[0] == of_half[0]
    assert of_all[1] != of_half[1]


def test_trees_for_half_the_horizon_speak_at_the_level_of_the_others(learnt):
    stack, known = learnt
    columns = pl.concat(monotone_inputs(cut.features, stack.process, 28)[0] for cut in known)
    whole, half = (
        1 / (1 + np.exp(-booster.predict(columns, raw_score=True) - shift))
        for booster, shift in zip(stack.boosters, stack.shifts, strict=True)
    )
    assert stack.shifts[0] == 0 > stack.shifts[1]
    assert half.mean() == pytest.approx(whole.mean(), abs=1e-6)
