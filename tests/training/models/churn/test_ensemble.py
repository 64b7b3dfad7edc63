from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.customers.cutoffs import customer_features, follow_up
from training.customers.monotone_inputs import monotone_inputs
from training.estimators.bg_nbd import ModifiedBgNbd
from training.models.churn.ensemble import ChurnEnsemble, EnsembleOptions
from training.models.churn.ensemble_training import train_ensemble

AS_OF = datetime(2017, 12, 4)
QUICK = EnsembleOptions(rounds=30, members=1)


@pytest.fixture(scope="module")
def trained(journey):
    return train_ensemble(journey, AS_OF, 28, QUICK, cutoffs=6, step_days=14)


def test_contributions_add_up_to_the_log_odds(trained, journey):
    ensemble, _ = trained
    features = customer_features(journey, AS_OF)
    parts = ensemble.contributions(features)
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1), ensemble.log_odds(features), atol=1e-9)


def test_weights_are_convex(trained):
    ensemble, _ = trained
    assert min(ensemble.weights) >= 0
    assert sum(ensemble.weights) == pytest.approx(1)


def test_an_ensemble_of_few_examples_has_no_trees(trained):
    _, cutoffs = trained
    few = [cutoff.select(np.arange(cutoff.features.height) < 40) for cutoff in cutoffs]
    ensemble = ChurnEnsemble.fit(ModifiedBgNbd(1, 10, 0.1, 1), 28, few, QUICK, (0.5, 0.3, 0.2))
    assert ensemble.boosters == ()
    assert ensemble.weights == (0.0, 0.8, 0.2)
    probability = ensemble.probability(few[0].features)
    assert ((probability > 0) & (probability < 1)).all()


@pytest.mark.parametrize("customer", ["a", "b", "d", "7"])
def test_a_shop_of_one_customer_is_trained(customer):
    """The customer is either in the training sample or held out."""
    days = [datetime(2023, 1, 2) + timedelta(days=7 * week) for week in range(30)]
    lines = {"customer_id": customer, "line": 0, "quantity": 1.0, "kind": "sale"}
    orders = pl.DataFrame({"ts": days, "order_id": [f"{day}" for day in days]})
    orders = orders.with_columns(pl.lit(value).alias(name) for name, value in lines.items())
    shop = Dataset.from_frames("shop", {"orders": orders})
    ensemble, _ = train_ensemble(shop, shop.end, 14, QUICK, cutoffs=4, step_days=14)
    assert ensemble.boosters == ()
    assert ensemble.probability(customer_features(shop, shop.end))[0] < 0.5


def test_a_saved_ensemble_predicts_the_same(trained, journey, tmp_path):
    ensemble, _ = trained
    ensemble.save(tmp_path)
    features = customer_features(journey, AS_OF)
    assert (
        ChurnEnsemble.load(tmp_path).probability(features).tolist()
        == ensemble.probability(features).tolist()
    )


def test_training_reads_nothing_at_or_after_as_of(trained, journey, rewritten):
    ensemble, _ = trained
    orders = journey.table("orders").to_native().filter(pl.col("ts") < AS_OF)
    past = rewritten(journey, orders=orders)
    again, _ = train_ensemble(past, AS_OF, 28, QUICK, cutoffs=6, step_days=14)
    features = customer_features(journey, AS_OF)
    assert again.probability(features).tolist() == ensemble.probability(features).tolist()


def test_a_cutoff_of_half_the_follow_up_trains_the_boosters_of_half_the_horizon(trained, journey):
    ensemble, known = trained
    recent = follow_up(journey, AS_OF, to_day(AS_OF) - 14, 28)
    assert recent.follow_up_days == 14
    more = ChurnEnsemble.fit(ensemble.process, 28, [recent, *known], QUICK)
    less = ChurnEnsemble.fit(ensemble.process, 28, known, QUICK)
    features = customer_features(journey, AS_OF)
    with_recent, without_recent = (
        [
            booster.predict(monotone_inputs(features, ensemble.process, 28)[0]).tolist()
            for booster in fit.boosters
        ]
        for fit in (more, less)
    )
    assert with_recent[0] == without_recent[0]
    assert with_recent[1] != without_recent[1]


def test_boosters_of_half_the_horizon_have_the_mean_probability_of_the_others(trained):
    ensemble, known = trained
    columns = pl.concat(
        monotone_inputs(cutoff.features, ensemble.process, 28)[0] for cutoff in known
    )
    full, half = (
        1 / (1 + np.exp(-booster.predict(columns, raw_score=True) - offset))
        for booster, offset in zip(ensemble.boosters, ensemble.offsets, strict=True)
    )
    assert ensemble.offsets[0] == 0 > ensemble.offsets[1]
    assert half.mean() == pytest.approx(full.mean(), abs=1e-6)
