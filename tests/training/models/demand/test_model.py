"""How the demand model behaves, on a shop whose truth is known."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.demand.grain import Grain
from features.errors import InvalidInput, MissingData
from training.contract import Needs
from training.models.demand.grain_choice import MAX_NOISE, default_grain, noise_by_grain
from training.models.demand.model import DemandModel
from training.models.demand.task import DEMAND

FIRST = 17_000
WEEKS = 44
AS_OF = datetime(1970, 1, 1) + timedelta(days=FIRST + 7 * (WEEKS - 4))
OPTIONS = {"grain": "product:week", "horizon_days": 28}
SMALL = {"learning_rate": 0.1, "rows": 5_000, "rounds": 50, "members": 2, "min_data_in_leaf": 50}
FORECAST = ["mean", "q10", "q50", "q90"]


def generated(seed=0, products=80):
    """Generate sales that a mailer triples, as (sales, promotions)."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(3, 20, products)
    promoted = rng.random((products, WEEKS)) < 0.2
    sold = rng.poisson(rate[:, None] * np.where(promoted, 3.0, 1.0))
    product, week = np.indices(sold.shape)
    names = [f"p{i:02d}" for i in product.ravel()]
    sales = pl.DataFrame(
        {
            "product_id": names,
            "location_id": "1",
            "day": (FIRST + 7 * week.ravel() + product.ravel() % 7).astype(np.int32),
            "quantity": sold.ravel().astype(float),
        }
    )
    plan = pl.DataFrame(
        {
            "product_id": names,
            "location_id": "1",
            "kind": "mailer",
            "from_day": (FIRST + 7 * week.ravel()).astype(np.int32),
            "to_day": (FIRST + 7 * week.ravel() + 7).astype(np.int32),
        }
    ).filter(pl.Series(promoted.ravel()))
    return sales, plan


@pytest.fixture(scope="module")
def tables():
    return generated()


@pytest.fixture(scope="module")
def shop(tables):
    sales, plan = tables
    return Dataset.from_frames("shop", {"sales": sales, "promotions": plan})


@pytest.fixture(scope="module")
def model(shop):
    return DemandModel(**OPTIONS, **SMALL).fit(shop, AS_OF)


@pytest.fixture(scope="module")
def forecast(model, shop):
    return model.predict(shop, AS_OF)


def test_forecasts_are_never_negative(forecast):
    assert forecast.select(pl.min_horizontal(FORECAST).min()).item() >= 0


def test_quantiles_are_in_order(forecast):
    assert (forecast["q10"] <= forecast["q50"]).all()
    assert (forecast["q50"] <= forecast["q90"]).all()


def test_any_quantile_asked_for_is_given_in_order(model, shop, forecast):
    levels = (0.02, 0.1, 0.333, 0.5, 0.9, 0.975)
    names = ["q2", "q10", "q33.3", "q50", "q90", "q97.5"]
    found = model.predict(shop, AS_OF, quantiles=levels).select(names)
    assert (found.to_numpy()[:, 1:] >= found.to_numpy()[:, :-1]).all()
    assert_frame_equal(found.select("q10", "q50", "q90"), forecast.select("q10", "q50", "q90"))


def test_a_quantile_that_is_no_level_is_refused(model, shop):
    with pytest.raises(InvalidInput, match="quantile = 1 is no level"):
        model.predict(shop, AS_OF, quantiles=(0.5, 1))


def test_each_series_has_a_forecast_for_each_period_from_as_of_on(forecast):
    dates = [(AS_OF + timedelta(days=7 * k)).date() for k in range(4)]
    by_series = forecast.group_by("product_id").agg(pl.col("date"))
    assert all(found == dates for found in by_series["date"].to_list())
    assert by_series.height == 80


def test_forecasts_are_right_on_the_whole(forecast, tables):
    sales, _ = tables
    after = sales.filter(pl.col("day") >= FIRST + 7 * (WEEKS - 4))
    assert forecast["mean"].sum() == pytest.approx(after["quantity"].sum(), rel=0.08)


def test_eight_of_ten_outcomes_fall_between_the_outer_quantiles(shop, forecast):
    scores = {s.metric: s.value for s in DEMAND.evaluate(shop, AS_OF, OPTIONS, forecast)}
    assert 0.7 < scores["coverage_80"] < 0.92


def test_the_known_plan_beats_every_forecast_from_the_past_alone(shop, forecast):
    def wape(predictions):
        scores = DEMAND.evaluate(shop, AS_OF, OPTIONS, predictions)
        return next(s.value for s in scores if (s.slice, s.metric) == ("all", "wape"))

    ids = DEMAND.population(shop, AS_OF, OPTIONS)
    for name in ("naive", "recent_mean"):
        baseline = DEMAND.baselines[name](**OPTIONS).predict(shop, AS_OF, ids)
        assert wape(forecast) < 0.8 * wape(baseline)


def test_a_further_promotion_moves_only_the_product_that_it_covers(model, tables, forecast):
    more = planned(tables, "p07")
    changed = model.predict(more, AS_OF)
    others = pl.col("product_id") != "p07"
    assert_frame_equal(changed.filter(others), forecast.filter(others), check_exact=True)
    assert not changed.filter(~others).equals(forecast.filter(~others))


@pytest.mark.parametrize("product", ["p00", "p07", "p23", "p42", "p79"])
def test_a_promotion_never_lowers_the_weeks_it_adds_where_promotions_raised_sales(
    model, tables, forecast, product
):
    own = pl.col("product_id") == product
    with_it = model.predict(planned(tables, product), AS_OF, forecast.filter(own))["mean"]
    _, plan = tables
    already = plan.filter(own)["from_day"].cast(pl.Date).implode()
    added = ~forecast.filter(own)["date"].is_in(already)
    assert added.any()
    assert (with_it > 1.5 * forecast.filter(own)["mean"]).filter(added).all()


def planned(tables, product):
    """Promote a product in every week that is ahead."""
    sales, plan = tables
    start = FIRST + 7 * (WEEKS - 4)
    more = pl.DataFrame(
        [(product, "1", "mailer", start, start + 28)], schema=plan.schema, orient="row"
    )
    covered = (pl.col("product_id") == product) & (pl.col("from_day") >= start)
    return Dataset.from_frames(
        "more", {"sales": sales, "promotions": pl.concat([plan.filter(~covered), more])}
    )


def test_the_same_input_gives_the_same_forecasts(shop, forecast):
    again = DemandModel(**OPTIONS, **SMALL).fit(shop, AS_OF).predict(shop, AS_OF)
    assert_frame_equal(again, forecast, check_exact=True)


def test_sales_at_or_after_as_of_change_neither_fit_nor_forecasts(tables, forecast):
    sales, plan = tables
    known = sales.filter(pl.col("day") < FIRST + 7 * (WEEKS - 4))
    before = Dataset.from_frames("before", {"sales": known, "promotions": plan})
    again = DemandModel(**OPTIONS, **SMALL).fit(before, AS_OF).predict(before, AS_OF)
    assert_frame_equal(again, forecast, check_exact=True)


def test_a_saved_model_forecasts_as_before(model, shop, forecast, tmp_path):
    model.save(tmp_path)
    assert_frame_equal(DemandModel.load(tmp_path).predict(shop, AS_OF), forecast, check_exact=True)


def test_a_series_is_forecast_alone_as_it_is_among_others(model, shop, forecast):
    one = pl.DataFrame({"product_id": ["p11"]})
    alone = model.predict(shop, AS_OF, one)
    assert_frame_equal(alone, forecast.filter(pl.col("product_id") == "p11"), check_exact=True)


def test_a_series_that_never_sold_gets_no_rows(model, shop):
    assert model.predict(shop, AS_OF, pl.DataFrame({"product_id": ["none"]})).is_empty()


def test_reasons_add_up_to_the_forecast(model, shop, forecast):
    reasons = model.explain(shop, AS_OF, pl.DataFrame({"product_id": ["p03"]}))
    sums = reasons.group_by("date").agg(pl.col("contribution", "units").sum()).sort("date")
    own = forecast.filter(pl.col("product_id") == "p03")["mean"].to_numpy()
    assert np.exp(sums["contribution"].to_numpy()) == pytest.approx(own, rel=1e-9)
    assert sums["units"].to_numpy() == pytest.approx(own, rel=1e-9)


def test_a_promoted_week_is_explained_by_its_promotion(model, tables):
    reasons = model.explain(planned(tables, "p03"), AS_OF, pl.DataFrame({"product_id": ["p03"]}))
    largest = reasons.filter(pl.col("reason") != "level").sort("contribution").group_by("date")
    assert set(largest.last()["reason"]) == {"promotion"}


def test_a_model_does_without_promotions(tables):
    sales, _ = tables
    plain = Dataset.from_frames("plain", {"sales": sales})
    assert "promotions" in Needs.missing_optional(DemandModel.needs, plain)
    frame = DemandModel(**OPTIONS, **SMALL).fit(plain, AS_OF).predict(plain, AS_OF)
    assert frame.height == 80 * 4


def test_a_model_forecasts_when_the_plan_is_gone(model, tables):
    sales, _ = tables
    frame = model.predict(Dataset.from_frames("plain", {"sales": sales}), AS_OF)
    assert frame["mean"].is_not_nan().all()


def test_daily_series_by_location_are_forecast_too(tables):
    sales, _ = tables
    dataset = Dataset.from_frames("daily", {"sales": sales})
    options = {"grain": "product,location:day", "horizon_days": 14}
    frame = DemandModel(**options, **SMALL).fit(dataset, AS_OF).predict(dataset, AS_OF)
    assert frame.columns == ["product_id", "location_id", "date", *FORECAST]
    assert frame.height == 80 * 14


def test_too_short_records_are_refused(tables):
    sales, _ = tables
    short = Dataset.from_frames("short", {"sales": sales.filter(pl.col("day") < FIRST + 30)})
    with pytest.raises(MissingData, match="56 days"):
        DemandModel(**OPTIONS).fit(short, datetime(1970, 1, 1) + timedelta(days=FIRST + 30))


def test_a_horizon_that_splits_a_week_is_refused(shop):
    with pytest.raises(InvalidInput, match="multiple of 7"):
        DemandModel(grain="product:week", horizon_days=30).fit(shop, AS_OF)


def test_the_bundled_records_are_asked_by_product_and_week(journey):
    assert default_grain(journey) == Grain.parse("product:week")


def test_a_grain_that_is_mostly_noise_is_not_asked_for():
    rng = np.random.default_rng(0)
    sold = rng.poisson(0.3, (200, 140))
    product, day = np.nonzero(sold)
    sales = pl.DataFrame(
        {
            "product_id": [f"p{i}" for i in product],
            "location_id": "1",
            "day": (FIRST + day).astype(np.int32),
            "quantity": sold[product, day].astype(float),
        }
    )
    dataset = Dataset.from_frames("x", {"sales": sales})
    noise = noise_by_grain(dataset)
    assert noise["product:day"].wape > MAX_NOISE > noise["product:week"].wape
    assert str(default_grain(dataset)) == "product,location:week"
    options = DEMAND.options(dataset)
    assert "noise" in DEMAND.reason(dataset, options, dataset.end)


def test_brisk_sales_by_location_are_asked_by_day():
    days = np.arange(FIRST, FIRST + 100, dtype=np.int32)
    sales = pl.DataFrame(
        {"product_id": "a", "location_id": "1", "day": days, "quantity": np.full(100, 4.0)}
    )
    assert str(default_grain(Dataset.from_frames("x", {"sales": sales}))) == "product,location:day"


def test_a_series_without_a_forecast_counts_against_the_method(shop, forecast):
    def wape(predictions):
        scores = DEMAND.evaluate(shop, AS_OF, OPTIONS, predictions)
        return next(s.value for s in scores if (s.slice, s.metric) == ("all", "wape"))

    assert wape(forecast.filter(pl.col("product_id") > "p40")) > wape(forecast)
