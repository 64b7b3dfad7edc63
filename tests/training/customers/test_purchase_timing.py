from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.customers.cutoffs import customer_features
from training.customers.purchase_timing import PurchaseTiming
from training.customers.timing_training import TimingOptions, days_ahead, fit_purchase_timing
from training.models.churn.model import ChurnModel
from training.models.next_purchase.model import NextPurchaseModel

AS_OF = datetime(2017, 12, 4)
QUICK = TimingOptions(rounds=30, cutoffs=6, examples=30_000)
YEAR = range(1, 366)


@pytest.fixture(scope="module")
def trained(journey):
    return fit_purchase_timing(journey, AS_OF, QUICK, horizon_days=28)


@pytest.fixture(scope="module")
def curves(trained, journey):
    return trained.curves(customer_features(journey, AS_OF))


def generated_shop(seed=0):
    """Customers who buy at their own rates for a while, over two years."""
    random = np.random.default_rng(seed)
    rows = []
    for customer in range(200):
        day, gap = random.uniform(0, 500), random.gamma(2.0, 8.0)
        end = day + random.exponential(400)
        while day < min(end, 730):
            rows.append((f"c{customer}", datetime(2021, 1, 1) + timedelta(days=int(day))))
            day += max(random.exponential(gap), 1.0)
    orders = pl.DataFrame(rows, ["customer_id", "ts"], orient="row").with_columns(
        order_id=pl.int_range(pl.len()).cast(pl.String),
        line=pl.lit(0, dtype=pl.Int32),
        quantity=pl.lit(1.0),
        kind=pl.lit("sale"),
    )
    return Dataset.from_frames("generated", {"orders": orders})


def test_contributions_add_up_to_the_log_odds(trained, journey):
    features = customer_features(journey, AS_OF)
    parts = trained.contributions(features)
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1), trained.log_odds(features), atol=1e-9)


def test_a_curve_passes_through_the_churn_probability(trained, curves, journey):
    churn = trained.survival(customer_features(journey, AS_OF))
    np.testing.assert_allclose(curves.survival(28), churn, atol=1e-12)


def test_churn_never_rises_with_the_horizon(curves):
    churn = np.stack([curves.survival(days) for days in YEAR])
    assert (np.diff(churn, axis=0) <= 1e-12).all()
    assert churn[0].max() <= 1
    assert churn[-1].min() >= 0


def test_churn_never_rises_with_the_horizon_in_a_generated_shop():
    shop = generated_shop()
    model = fit_purchase_timing(shop, shop.end, QUICK)
    assert model.booster is not None
    for curves in (model.curves(customer_features(shop, shop.end)), model.newcomers()):
        churn = np.stack([curves.survival(days) for days in YEAR])
        assert (np.diff(churn, axis=0) <= 1e-12).all()


def test_a_newcomer_is_no_more_loyal_than_the_average_customer(trained, curves):
    for days in (7, 28, 56):
        assert trained.newcomers().survival(days)[0] > curves.survival(days).mean()


def test_models_of_the_same_records_agree(journey):
    ids = customer_features(journey, AS_OF).select("customer_id")
    churn = ChurnModel().fit(journey, AS_OF).predict(journey, AS_OF, ids)
    next_purchase = NextPurchaseModel().fit(journey, AS_OF)
    horizon = next_purchase.timing_.horizon_days
    assert horizon == 28
    curves = next_purchase.timing_.curves(customer_features(journey, AS_OF))
    np.testing.assert_allclose(curves.survival(28), churn["churn_probability"], atol=1e-12)


def test_days_ahead_contain_the_horizon_its_half_and_its_double():
    assert {10, 21, 42} <= set(days_ahead(21, 42))
    assert days_ahead(7, 30) == (1, 2, 3, 4, 7, 10, 14, 21, 28, 30)


def test_weights_are_not_negative_and_sum_to_one(trained):
    assert set(trained.weights) == {"trees", "rfm_logistic", "bg_nbd", "mbg_nbd"}
    assert min(trained.weights.values()) >= 0
    assert sum(trained.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("customer", ["a", "b", "d", "7"])
def test_a_shop_of_one_customer_is_trained_without_trees(customer):
    days = [datetime(2023, 1, 2) + timedelta(days=7 * week) for week in range(30)]
    lines = {"customer_id": customer, "line": 0, "quantity": 1.0, "kind": "sale"}
    orders = pl.DataFrame({"ts": days, "order_id": [f"{day}" for day in days]})
    orders = orders.with_columns(pl.lit(value).alias(name) for name, value in lines.items())
    shop = Dataset.from_frames("shop", {"orders": orders})
    model = fit_purchase_timing(shop, shop.end, QUICK, horizon_days=14)
    features = customer_features(shop, shop.end)
    assert model.booster is None
    assert model.survival(features)[0] < 0.5
    assert model.contributions(features).to_numpy().sum() == pytest.approx(
        model.log_odds(features)[0]
    )


def test_a_saved_model_predicts_the_same(trained, curves, journey, tmp_path):
    trained.save(tmp_path)
    again = PurchaseTiming.load(tmp_path)
    assert PurchaseTiming.load(tmp_path) is again
    same = again.curves(customer_features(journey, AS_OF))
    np.testing.assert_array_equal(same.probabilities, curves.probabilities)
    np.testing.assert_array_equal(again.newcomers().within(40), trained.newcomers().within(40))


def test_training_reads_nothing_at_or_after_as_of(trained, journey, rewritten):
    orders = journey.table("orders").to_native().filter(pl.col("ts") < AS_OF)
    again = fit_purchase_timing(rewritten(journey, orders=orders), AS_OF, QUICK, horizon_days=28)
    features = customer_features(journey, AS_OF)
    np.testing.assert_array_equal(again.log_odds(features), trained.log_odds(features))
