"""Totals equal the sums of their series, and their intervals have the stated coverage."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start
from features.dataset import Dataset
from features.demand.grain import Grain
from features.errors import InvalidInput
from training.contract import model_with_options
from training.models.demand.historical_forecasts import HistoricalForecasts
from training.models.demand.model import DemandModel
from training.models.demand.reconciliation import (
    Hierarchy,
    TotalErrors,
    aggregate,
    available_levels,
    membership,
    running_totals,
)

FIRST = 17_000
AS_OF = day_start(FIRST + 210)
GRAIN = Grain.parse("product,location:day")
LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def shop():
    """Generate 40 products at two locations with daily factors that all series share."""
    rng = np.random.default_rng(5)
    days = np.arange(FIRST, FIRST + 240)
    common = np.exp(rng.normal(0, 0.15, (2, len(days))))
    rate = rng.uniform(1, 6, (40, 2))
    sold = rng.poisson(rate[:, :, None] * common[None])
    product, location, day = np.indices(sold.shape)
    sales = {
        "product_id": [f"p{i:02d}" for i in product.ravel()],
        "location_id": [str(i) for i in location.ravel()],
        "day": days[day.ravel()].astype(np.int32),
        "quantity": sold.ravel().astype(float),
    }
    products = {
        "product_id": [f"p{i:02d}" for i in range(39)],  # the last one has no department
        "department": [("dairy", "bakery", "fruit")[i % 3] for i in range(39)],
    }
    frames = {"sales": pl.DataFrame(sales), "products": pl.DataFrame(products)}
    return Dataset.from_frames("shop", frames)


@pytest.fixture(scope="module")
def model(shop):
    options = {"grain": str(GRAIN), "horizon_days": 14, "learning_rate": 0.1, "rounds": 40}
    return model_with_options(
        DemandModel, {**options, "rows": 6_000, "members": 2, "min_data_in_leaf": 50}
    ).fit(shop, AS_OF)


@pytest.fixture(scope="module")
def hierarchy(model, shop):
    return Hierarchy.fit(shop, GRAIN, HistoricalForecasts.fit(model, shop, AS_OF).by_origin(shop))


@pytest.fixture(scope="module")
def forecasts(model, shop):
    return model.predict(shop, AS_OF)


def test_levels_are_those_for_which_the_dataset_has_columns(shop):
    assert available_levels(shop, GRAIN) == [
        "all", "department", "product", "location", "department+location"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "level", ["all", "department", "location", "product", "department+location"]
)
def test_totals_equal_the_sums_of_their_series(hierarchy, shop, forecasts, level):
    totals = hierarchy.totals(shop, forecasts, level, LEVELS)
    daily = forecasts.group_by("date").agg(pl.col("mean").sum()).sort("date")
    sums = totals.group_by("date").agg(pl.col("mean").sum(), pl.col("series").sum()).sort("date")
    assert sums["mean"].to_list() == pytest.approx(daily["mean"].to_list(), abs=1e-9, rel=1e-12)
    assert set(sums["series"]) == {80}


def test_departments_equal_their_sums_over_locations(hierarchy, shop, forecasts):
    departments = hierarchy.totals(shop, forecasts, "department", LEVELS)
    parts = hierarchy.totals(shop, forecasts, "department+location", LEVELS)
    sums = parts.group_by("department", "date").agg(pl.col("mean").sum())
    assert_frame_equal(
        departments.select("department", "date", "mean"),
        sums.sort("department", "date"),
        abs_tol=1e-9,
        rel_tol=0,
    )


def test_series_without_a_department_are_a_total_of_their_own(hierarchy, shop, forecasts):
    totals = hierarchy.totals(shop, forecasts, "department", LEVELS)
    assert set(totals["department"]) == {"dairy", "bakery", "fruit", "not named"}


def test_quantiles_of_totals_are_in_order_and_narrower_than_sums_of_quantiles(
    hierarchy, shop, forecasts
):
    totals = hierarchy.totals(shop, forecasts, "location", (0.01, 0.1, 0.5, 0.9, 0.99))
    assert (totals["q1"] <= totals["q10"]).all()
    assert (totals["q10"] <= totals["q50"]).all()
    assert (totals["q90"] <= totals["q99"]).all()
    sums = forecasts.group_by("location_id", "date").agg(pl.col("q10", "q90").sum())
    summed = sums.sort("location_id", "date")
    assert (totals["q10"] > summed["q10"]).all()
    assert (totals["q90"] < summed["q90"]).all()


def test_the_common_error_is_that_of_the_shared_factors(hierarchy):
    assert hierarchy.errors["all"].common_error == pytest.approx(0.15 / np.sqrt(2), rel=0.5)
    assert hierarchy.errors["location"].common_error == pytest.approx(0.15, rel=0.5)


@pytest.fixture(scope="module")
def running(model, shop):
    past = HistoricalForecasts.fit(model, shop, AS_OF).by_origin(shop)
    return Hierarchy.fit(shop, GRAIN, past, ["location"], running=True)


def test_running_totals_begin_with_the_first_period_and_add_the_next(
    hierarchy, running, shop, forecasts
):
    single = hierarchy.totals(shop, forecasts, "location", LEVELS)
    totals = running.totals(shop, forecasts, "location", LEVELS)
    sums = single.select(pl.col("mean").cum_sum().over("location_id"))["mean"]
    assert totals["mean"].to_list() == pytest.approx(sums.to_list(), rel=1e-12)
    assert totals.drop("mean", "q10", "q50", "q90").equals(single.drop("mean", "q10", "q50", "q90"))


def test_eight_of_ten_later_outcomes_are_in_the_interval(model, hierarchy, shop):
    inside = []
    for days in (0, 14):
        origin = AS_OF + timedelta(days=days)
        forecasts = model.predict(shop, origin)
        forecasts = forecasts.filter(pl.col("date") < (AS_OF + timedelta(days=28)).date())
        sold = shop.table("sales").to_native().collect()
        sold = sold.with_columns(pl.col("day").cast(pl.Date).alias("date"))
        units = sold.group_by("product_id", "location_id", "date").agg(
            units=pl.col("quantity").sum()
        )
        both = forecasts.join(units, on=["product_id", "location_id", "date"], how="left")
        for level in ("location", "department+location"):
            totals = hierarchy.totals(shop, forecasts, level, (0.1, 0.9))
            truth = aggregate(both, GRAIN, level, membership(shop, GRAIN, level))["units"]
            inside.append(((totals["q10"] <= truth) & (truth <= totals["q90"])).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.08)


def sequences(correlation, seed):
    """Generate 2,000 totals of 10 periods whose errors have a correlation."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(0, 30, (2_000, 1)), rng.normal(0, 30, (2_000, 10))
    errors = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return pl.DataFrame(
        {
            "total": np.repeat(np.arange(2_000), 10),
            "mean": np.full(20_000, 500.0),
            "variance": np.full(20_000, 900.0),
            "units": 500.0 + errors.ravel(),
        }
    )


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_eight_of_ten_running_totals_are_in_the_interval_of_any_number_of_periods(correlation):
    errors = TotalErrors.fit(sequences(correlation, 0), ["total"])
    assert errors.correlation == pytest.approx(correlation, abs=0.07)
    later = running_totals(sequences(correlation, 1), ["total"], errors.common_error)
    low, high = errors.quantiles(later, (0.1, 0.9)).T
    units = later["units"].to_numpy()
    inside = ((low <= units) & (units <= high)).reshape(2_000, 10).mean(axis=0)
    assert inside[[1, 4, 9]] == pytest.approx(0.8, abs=0.06)


def test_independent_errors_have_no_common_error():
    rng = np.random.default_rng(0)
    mean = rng.uniform(50, 5_000, 2_000)
    past = pl.DataFrame(
        {
            "mean": mean,
            "variance": mean,
            "units": rng.poisson(mean).astype(float),
        }
    )
    errors = TotalErrors.fit(past)
    assert errors.common_error < 0.01


def test_the_mean_of_a_total_is_between_its_outer_deciles_after_biased_forecasts():
    mean = np.full(200, 1_000.0)
    past = pl.DataFrame({"mean": mean, "variance": mean, "units": 1.3 * mean})
    low, high = TotalErrors.fit(past).quantiles(past, (0.1, 0.9)).T
    assert (low <= mean).all()
    assert (mean < high).all()


def test_an_unknown_level_is_refused(shop):
    with pytest.raises(InvalidInput, match="is not a level") as caught:
        membership(shop, GRAIN, "colour")
    assert caught.value.field == "totals"
