"""Behaviour of the demand model on a generated shop with known effects."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from training.contract import Needs
from training.models.demand.assumptions import COLUMNS
from training.models.demand.model import DemandModel

FORECAST = ["mean", "q10", "q50", "q90"]


@pytest.fixture
def shop(mailer_shop):
    return mailer_shop


@pytest.fixture
def model(mailer_model):
    return mailer_model


@pytest.fixture
def forecast(mailer_forecast):
    return mailer_forecast


def with_mailer(shop, product):
    """Return the shop's dataset with a mailer for a product in every week of the horizon."""
    start, plan = shop.as_of_day, shop.promotions
    mailer = pl.DataFrame(
        [(product, "1", "mailer", start, start + 28)], schema=plan.schema, orient="row"
    )
    replaced = (pl.col("product_id") == product) & (pl.col("from_day") >= start)
    promotions = pl.concat([plan.filter(~replaced), mailer])
    return Dataset.from_frames("more", {"sales": shop.sales, "promotions": promotions})


def test_forecasts_are_never_negative(forecast):
    assert forecast.select(pl.min_horizontal(FORECAST).min()).item() >= 0


def test_quantiles_are_in_order(forecast):
    assert (forecast["q10"] <= forecast["q50"]).all()
    assert (forecast["q50"] <= forecast["q90"]).all()


def test_any_requested_quantiles_are_returned_in_order(model, shop, forecast):
    levels = (0.02, 0.1, 0.333, 0.5, 0.9, 0.975)
    names = ["q2", "q10", "q33.3", "q50", "q90", "q97.5"]
    quantiles = model.predict(shop.dataset, shop.as_of, quantiles=levels).select(names)
    assert (quantiles.to_numpy()[:, 1:] >= quantiles.to_numpy()[:, :-1]).all()
    assert_frame_equal(quantiles.select("q10", "q50", "q90"), forecast.select("q10", "q50", "q90"))


def test_a_quantile_level_outside_0_and_1_is_refused(model, shop):
    with pytest.raises(InvalidInput, match="quantile = 1 is no level"):
        model.predict(shop.dataset, shop.as_of, quantiles=(0.5, 1))


def test_each_series_has_a_forecast_for_each_period_from_as_of_on(forecast, shop):
    dates = [(shop.as_of + timedelta(days=7 * k)).date() for k in range(4)]
    by_series = forecast.group_by("product_id").agg(pl.col("date"))
    assert all(series == dates for series in by_series["date"].to_list())
    assert by_series.height == 80


def test_the_sum_of_forecasts_is_unbiased(forecast, shop):
    outcomes = shop.sales.filter(pl.col("day") >= shop.as_of_day)
    assert forecast["mean"].sum() == pytest.approx(outcomes["quantity"].sum(), rel=0.08)


def test_a_further_promotion_changes_only_the_forecast_of_its_product(model, shop, forecast):
    changed = model.predict(with_mailer(shop, "p07"), shop.as_of)
    others = pl.col("product_id") != "p07"
    assert_frame_equal(changed.filter(others), forecast.filter(others), check_exact=True)
    assert not changed.filter(~others).equals(forecast.filter(~others))


@pytest.mark.parametrize("product", ["p00", "p07", "p23", "p42", "p79"])
def test_a_promotion_raises_the_forecast_of_each_added_week(model, shop, forecast, product):
    rows = pl.col("product_id") == product
    recorded = forecast.filter(rows)
    promoted = model.predict(with_mailer(shop, product), shop.as_of, recorded)["mean"]
    already = shop.promotions.filter(rows)["from_day"].cast(pl.Date).implode()
    added = ~recorded["date"].is_in(already)
    assert added.any()
    assert (promoted > 1.5 * recorded["mean"]).filter(added).all()


def test_the_same_input_gives_the_same_forecasts(shop, forecast):
    again = shop.unfitted().fit(shop.dataset, shop.as_of).predict(shop.dataset, shop.as_of)
    assert_frame_equal(again, forecast, check_exact=True)


def test_sales_at_or_after_as_of_change_neither_fit_nor_forecasts(shop, forecast):
    known = shop.sales.filter(pl.col("day") < shop.as_of_day)
    before = Dataset.from_frames("before", {"sales": known, "promotions": shop.promotions})
    again = shop.unfitted().fit(before, shop.as_of).predict(before, shop.as_of)
    assert_frame_equal(again, forecast, check_exact=True)


def test_a_loaded_model_forecasts_as_before(model, shop, forecast, tmp_path):
    model.save(tmp_path)
    loaded = DemandModel.load(tmp_path)
    assert_frame_equal(loaded.predict(shop.dataset, shop.as_of), forecast, check_exact=True)


def test_the_forecast_of_a_series_does_not_depend_on_other_series(model, shop, forecast):
    alone = model.predict(shop.dataset, shop.as_of, pl.DataFrame({"product_id": ["p11"]}))
    assert_frame_equal(alone, forecast.filter(pl.col("product_id") == "p11"), check_exact=True)


def test_an_unknown_series_gets_no_rows(model, shop):
    unknown = pl.DataFrame({"product_id": ["none"]})
    assert model.predict(shop.dataset, shop.as_of, unknown).is_empty()


def test_contributions_sum_to_the_forecast(model, shop, forecast):
    rows = model.explain(shop.dataset, shop.as_of, pl.DataFrame({"product_id": ["p03"]}))
    sums = rows.group_by("date").agg(pl.col("contribution", "units").sum()).sort("date")
    mean = forecast.filter(pl.col("product_id") == "p03")["mean"].to_numpy()
    assert np.exp(sums["contribution"].to_numpy()) == pytest.approx(mean, rel=1e-9)
    assert sums["units"].to_numpy() == pytest.approx(mean, rel=1e-9)


def test_a_promoted_week_is_explained_by_its_promotion(model, shop):
    product = pl.DataFrame({"product_id": ["p03"]})
    rows = model.explain(with_mailer(shop, "p03"), shop.as_of, product)
    largest = rows.filter(pl.col("reason") != "level").sort("contribution").group_by("date")
    assert set(largest.last()["reason"]) == {"promotion"}


def test_a_model_fits_without_promotions(shop):
    plain = Dataset.from_frames("plain", {"sales": shop.sales})
    assert "promotions" in Needs.missing_optional(DemandModel.needs, plain)
    forecasts = shop.unfitted().fit(plain, shop.as_of).predict(plain, shop.as_of)
    assert forecasts.height == 80 * 4


def test_a_model_forecasts_when_the_promotions_are_gone(model, shop):
    plain = Dataset.from_frames("plain", {"sales": shop.sales})
    assert model.predict(plain, shop.as_of)["mean"].is_not_nan().all()


def test_daily_series_by_location_are_forecast(shop):
    dataset = Dataset.from_frames("daily", {"sales": shop.sales})
    model = shop.unfitted(grain="product,location:day", horizon_days=14)
    forecasts = model.fit(dataset, shop.as_of).predict(dataset, shop.as_of)
    assert forecasts.columns == ["product_id", "location_id", "date", *FORECAST, *COLUMNS]
    assert forecasts.height == 80 * 14


def test_too_short_records_are_refused(shop):
    last = shop.first_day + 30
    short = Dataset.from_frames("short", {"sales": shop.sales.filter(pl.col("day") < last)})
    with pytest.raises(MissingData, match="56 days"):
        DemandModel(**shop.options).fit(short, datetime(1970, 1, 1) + timedelta(days=last))


def test_a_horizon_that_splits_a_week_is_refused(shop):
    with pytest.raises(InvalidInput, match="multiple of 7"):
        DemandModel(grain="product:week", horizon_days=30).fit(shop.dataset, shop.as_of)
