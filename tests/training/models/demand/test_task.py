"""Evaluation of demand forecasts by the task."""

from datetime import timedelta

import polars as pl

from features.dataset import Dataset
from training.models.demand.task import DEMAND


def scores(shop, predictions):
    rows = DEMAND.evaluate(shop.dataset, shop.as_of, shop.options, predictions)
    return {score.metric: score.value for score in rows if score.slice == "all"}


def test_eight_of_ten_outcomes_are_between_the_outer_deciles(mailer_shop, mailer_forecast):
    assert 0.7 < scores(mailer_shop, mailer_forecast)["coverage_80"] < 0.92


def test_closed_periods_do_not_count_as_covered(mailer_shop, mailer_forecast):
    shop, last = mailer_shop, mailer_shop.as_of.date() + timedelta(days=14)
    sales = shop.sales.filter(pl.col("day").cast(pl.Date) < last)
    dataset = Dataset.from_frames("shop", {"sales": sales})
    values = pl.col("mean", "q10", "q50", "q90")
    closed = mailer_forecast.with_columns(pl.when(pl.col("date") < last).then(values).otherwise(0))
    rows = DEMAND.evaluate(dataset, shop.as_of, shop.options, closed)
    counted = {score.metric: score.n for score in rows if score.slice == "all"}
    assert counted["coverage_80"] == counted["below_q10"] == counted["wape"] / 2


def test_the_model_with_a_known_plan_beats_the_baselines(mailer_shop, mailer_forecast):
    shop = mailer_shop
    ids = DEMAND.population(shop.dataset, shop.as_of, shop.options)
    error = scores(shop, mailer_forecast)["wape"]
    for name in ("naive", "recent_mean"):
        baseline = DEMAND.baselines[name](**shop.options)
        predictions = baseline.predict(shop.dataset, shop.as_of, ids)
        assert error < 0.8 * scores(shop, predictions)["wape"]


def test_a_series_without_a_forecast_counts_against_the_method(mailer_shop, mailer_forecast):
    partial = mailer_forecast.filter(pl.col("product_id") > "p40")
    assert scores(mailer_shop, partial)["wape"] > scores(mailer_shop, mailer_forecast)["wape"]


def test_the_weighted_quantile_loss_needs_all_deciles(mailer_shop, mailer_forecast, mailer_model):
    shop = mailer_shop
    assert "wql" not in scores(shop, mailer_forecast)
    deciles = mailer_model.predict(shop.dataset, shop.as_of, **DEMAND.request)
    assert 0 < scores(shop, deciles)["wql"] < scores(shop, deciles)["wape"]
