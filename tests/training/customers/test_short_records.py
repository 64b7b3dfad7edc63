"""Customers of a young shop: with too few days to learn from, buying processes predict."""

from datetime import datetime

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from training.backtest import FORESELL, evaluate
from training.customers.cutoffs import customer_features
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.platt_scaling import log_odds_of
from training.models.churn.model import ChurnModel
from training.models.next_purchase.model import NextPurchaseModel
from training.models.value.model import ValueModel
from training.registry import TASKS
from training.task_setup import set_up

# Fifty days of records.
AS_OF = datetime(2017, 2, 20)
MODELS = {
    "churn": ChurnModel(horizon_days=42),
    "next-purchase": NextPurchaseModel(horizon_days=42),
    "value": ValueModel(horizon_days=42),
}


@pytest.fixture(scope="module")
def fitted(journey):
    return {name: model.fit(journey, AS_OF) for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def inactivity(journey):
    """Probability of no purchase in the next 42 days: the mean log-odds of BG/NBD and MBG/NBD."""
    history = purchase_history(customer_features(journey, AS_OF))
    members = (
        BgNbd.fit(*history).monotone_inactivity(*history, 42),
        ModifiedBgNbd.fit(*history).inactivity(*history, 42),
    )
    return 1 / (1 + np.exp(-np.mean([log_odds_of(member) for member in members], axis=0)))


def test_churn_is_the_mean_inactivity_of_the_processes(fitted, journey, inactivity):
    answers = fitted["churn"].predict(journey, AS_OF)
    np.testing.assert_allclose(answers.get_column("churn_probability"), inactivity, atol=1e-5)


def test_curves_are_those_of_the_processes(fitted, journey, inactivity):
    timing = fitted["churn"].timing_
    curves = timing.curves(fitted["churn"].features(journey, AS_OF))
    assert timing.booster is None
    np.testing.assert_allclose(curves.survival(42), inactivity, atol=1e-5)


def test_value_learns_from_as_many_days_as_there_are(fitted, journey):
    assert fitted["value"].fitted_days_ == 25
    answers = fitted["value"].predict(journey, AS_OF)
    spent = answers.get_column("value_42")
    assert spent.is_finite().all()
    assert (answers.get_column("value_42_q10") <= spent).all()
    assert (answers.get_column("value_42_q90") >= spent).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_short_record_is_explained_and_a_saved_model_predicts_alike(
    name, fitted, journey, tmp_path
):
    fitted[name].save(tmp_path)
    answers = fitted[name].predict(journey, AS_OF)
    assert answers.get_column("explanations").list.len().mean() > 0.5
    again = type(fitted[name]).load(tmp_path).predict(journey, AS_OF)
    assert_frame_equal(again, answers)


@pytest.mark.parametrize("name", MODELS)
def test_one_window_is_evaluated_against_what_can_be_fitted(name, journey):
    as_of = datetime(2017, 3, 16)
    setup = set_up(TASKS[name], journey, as_of, folds=3, horizon_days=42)
    assert setup.folds == 1
    assert "predictions rest on a buying process" in setup.note
    report = evaluate(TASKS[name], journey, 3, as_of=as_of, options=setup.options)
    methods = set(report.summary().get_column("method"))
    assert methods > {FORESELL}
    assert methods <= {FORESELL, *TASKS[name].baselines}
