from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.customers.cutoffs import customer_features
from training.customers.inactivity import InactivityModel, InactivityOptions, fit_inactivity

AS_OF = datetime(2017, 12, 4)
QUICK = InactivityOptions(rounds=30, cutoffs=6)


@pytest.fixture(scope="module")
def trained(journey):
    return fit_inactivity(journey, AS_OF, 28, QUICK)[0]


def test_contributions_add_up_to_the_log_odds(trained, journey):
    features = customer_features(journey, AS_OF)
    parts = trained.contributions(features)
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1), trained.log_odds(features), atol=1e-9)


def test_inactivity_is_less_probable_for_more_days(trained, journey):
    features = customer_features(journey, AS_OF)
    assert trained.days == (14, 28, 56)
    half, whole, double = (trained.log_odds(features, days) for days in trained.days)
    assert (half >= whole).all()
    assert (whole >= double).all()


def test_weights_are_not_negative(trained):
    assert min(trained.weights.slopes) >= 0


@pytest.mark.parametrize("customer", ["a", "b", "d", "7"])
def test_a_shop_of_one_customer_is_trained_without_trees(customer):
    days = [datetime(2023, 1, 2) + timedelta(days=7 * week) for week in range(30)]
    lines = {"customer_id": customer, "line": 0, "quantity": 1.0, "kind": "sale"}
    orders = pl.DataFrame({"ts": days, "order_id": [f"{day}" for day in days]})
    orders = orders.with_columns(pl.lit(value).alias(name) for name, value in lines.items())
    shop = Dataset.from_frames("shop", {"orders": orders})
    model, _ = fit_inactivity(shop, shop.end, 14, QUICK)
    features = customer_features(shop, shop.end)
    assert model.booster is None
    assert model.probability(features)[0] < 0.5
    assert model.contributions(features).to_numpy().sum() == pytest.approx(
        model.log_odds(features)[0]
    )


def test_a_saved_model_predicts_the_same(trained, journey, tmp_path):
    trained.save(tmp_path)
    features = customer_features(journey, AS_OF)
    again = InactivityModel.load(tmp_path)
    for days in trained.days:
        np.testing.assert_array_equal(
            again.log_odds(features, days), trained.log_odds(features, days)
        )


def test_training_reads_nothing_at_or_after_as_of(trained, journey, rewritten):
    orders = journey.table("orders").to_native().filter(pl.col("ts") < AS_OF)
    again, _ = fit_inactivity(rewritten(journey, orders=orders), AS_OF, 28, QUICK)
    features = customer_features(journey, AS_OF)
    np.testing.assert_array_equal(again.log_odds(features), trained.log_odds(features))
