"""Forecasts of a shop whose promotions end with the records, against what it sells on average."""

import warnings

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.backtest import backtest
from training.models.demand.scenario import predict_scenario
from training.models.demand.task import DEMAND

QUANTILES = ["q10", "q50", "q90"]


@pytest.fixture(scope="module")
def ended(mailer_shop):
    """The shop with the promotions that began before `as_of` alone."""
    booked = mailer_shop.promotions.filter(pl.col("from_day") < mailer_shop.as_of_day)
    return Dataset.from_frames("ended", {"sales": mailer_shop.sales, "promotions": booked})


@pytest.fixture(scope="module")
def model(mailer_shop, ended):
    return mailer_shop.unfitted().fit(ended, mailer_shop.as_of)


@pytest.fixture(scope="module")
def forecast(model, mailer_shop, ended):
    return model.predict(ended, mailer_shop.as_of)


@pytest.fixture(scope="module")
def without(mailer_shop, mailer_model):
    """Forecasts under an explicitly empty plan, beside those under the recorded plan."""
    return predict_scenario(mailer_model, mailer_shop.dataset, mailer_shop.as_of, [])


def outcomes(shop, forecast):
    """Return the units of each row of a forecast."""
    week = (pl.col("day") - (pl.col("day") - shop.as_of_day) % 7).cast(pl.Date).alias("date")
    units = shop.sales.group_by("product_id", week).agg(pl.col("quantity").sum())
    joined = forecast.join(units, on=["product_id", "date"], how="left", maintain_order="left")
    return joined["quantity"].fill_null(0.0).to_numpy()


def rate(shop):
    """Return units a week that are sold without promotions, of all products."""
    keys = ["product_id", "day"]
    week = (pl.col("day") - (pl.col("day") - shop.first_day) % 7).alias("day")
    units = shop.sales.group_by("product_id", week).agg(pl.col("quantity").sum())
    promoted = shop.promotions.select("product_id", day="from_day")
    ordinary = units.join(promoted, on=keys, how="anti")
    return ordinary.group_by("product_id").agg(pl.col("quantity").mean())["quantity"].sum()


def test_without_a_known_plan_promotions_are_as_usual(mailer_shop, forecast):
    usual = 1 + 2 * 0.2  # a fifth of the weeks sells three times the rate
    assert forecast["mean"].sum() == pytest.approx(4 * usual * rate(mailer_shop), rel=0.05)


def test_an_explicitly_empty_plan_forecasts_sales_without_promotions(mailer_shop, without):
    assert without["mean"].sum() == pytest.approx(4 * rate(mailer_shop), rel=0.06)
    assert without["difference"].sum() < 0


def test_eight_of_ten_outcomes_are_between_the_deciles_of_an_unknown_plan(mailer_shop, forecast):
    units = outcomes(mailer_shop, forecast)
    inside = (forecast["q10"].to_numpy() <= units) & (units <= forecast["q90"].to_numpy())
    assert 0.7 < inside.mean() < 0.92


def test_an_unknown_plan_widens_the_intervals(forecast, without):
    widths = [((rows["q90"] - rows["q10"]) / rows["mean"]).mean() for rows in (forecast, without)]
    assert widths[0] > 1.3 * widths[1]


def test_forecasts_state_how_far_the_plan_is_known_and_what_they_assume(
    mailer_shop, forecast, mailer_forecast
):
    last = np.datetime64(mailer_shop.as_of, "D") - 1
    assert forecast["plan_known_until"].unique().to_list() == [last.astype(object)]
    assert forecast["assumes"].unique().to_list() == [f"promotions as usual after {last}"]
    assert mailer_forecast["assumes"].unique().to_list() == [""]


def test_records_without_promotions_assume_nothing(mailer_shop):
    bare = Dataset.from_frames("bare", {"sales": mailer_shop.sales})
    rows = mailer_shop.unfitted().fit(bare, mailer_shop.as_of).predict(bare, mailer_shop.as_of)
    assert rows["plan_known_until"].is_null().all()
    assert rows["assumes"].unique().to_list() == [""]


def test_a_plan_that_changes_no_forecast_is_a_warning(mailer_shop, model, ended):
    dates = {"from_date": mailer_shop.as_of.date().isoformat(), "to_date": "2100-01-01"}
    plan = [{"product_id": "p01", "kind": "mailer", **dates}]
    chosen = pl.DataFrame({"product_id": ["p02"]})
    with pytest.warns(UserWarning, match="changes no forecast"):
        predict_scenario(model, ended, mailer_shop.as_of, plan, chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_scenario(
            model, ended, mailer_shop.as_of, plan, pl.DataFrame({"product_id": ["p01"]})
        )


def test_the_mean_is_between_the_outer_deciles_and_quantiles_are_ordered(forecast, without):
    for rows in (forecast, without):
        low, middle, high = (rows[name].to_numpy() for name in QUANTILES)
        mean = rows["mean"].to_numpy()
        assert (low <= middle).all()
        assert (middle <= high).all()
        assert ((low <= mean) & (mean <= high)).all()


def test_the_backtest_reports_the_known_and_the_hidden_plan(mailer_shop):
    shop = mailer_shop
    report = backtest(
        DEMAND, shop.dataset, [shop.as_of], shop.options, params=shop.small, baselines=[]
    )
    for metric in ("wape", "bias", "coverage_80"):
        assert report.mean(metric, "plan=known") == report.mean(metric)
    assert report.mean("wape", "plan=hidden") > 1.5 * report.mean("wape", "plan=known")
    assert abs(report.mean("bias", "plan=hidden")) < 0.08


def test_the_backtest_of_records_without_a_plan_has_no_such_slices(mailer_shop):
    bare = Dataset.from_frames("bare", {"sales": mailer_shop.sales})
    assert DEMAND.hide_plan(bare, mailer_shop.as_of, mailer_shop.options) is None
