"""Short records: what all series did in a few weeks is not taken for a law."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.models.demand import model as demand_module
from training.models.demand.common_factor import common_factor, credibility_weight
from training.models.demand.model import DemandModel
from training.models.demand.training_rows import assign_folds

FIRST, WEEKS = 17_000, 18
AS_OF = datetime(1970, 1, 1) + timedelta(days=FIRST + 7 * WEEKS)
# A feast swells three weeks and empties the next two; then all is as before.
SWING = np.array([1.0] * 11 + [1.2, 1.5, 1.9, 0.6, 0.6, 1.0, 1.0])


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(5)
    rate = rng.uniform(2, 30, 250)
    product, week = np.indices((len(rate), WEEKS))
    sold = rng.poisson(rate[:, None] * SWING)
    sales = pl.DataFrame(
        {
            "product_id": [f"p{i:03d}" for i in product.ravel()],
            "location_id": "1",
            "day": (FIRST + 7 * week.ravel()).astype(np.int32),
            "quantity": sold.ravel().astype(float),
        }
    )
    return Dataset.from_frames("feast", {"sales": sales.filter(pl.col("quantity") > 0)}), rate


def forecast(shop):
    dataset, rate = shop
    said = DemandModel(horizon_days=14, members=2).fit(dataset, AS_OF).predict(dataset, AS_OF)
    mean = said["mean"].to_numpy().reshape(len(rate), 2)
    return mean, rate


def test_a_feast_once_seen_moves_the_forecasts_after_it_less_than_it_would(shop, monkeypatch):
    mean, rate = forecast(shop)
    error = abs(mean.sum() / (2 * rate.sum()) - 1)
    monkeypatch.setattr(demand_module, "credibility_weight", lambda rows: 1.0)
    believing, _ = forecast(shop)
    assert error < 0.08
    assert error < abs(believing.sum() / (2 * rate.sum()) - 1)


def rows(weeks, units=2.0):
    days = FIRST + 7 * np.arange(weeks)
    return pl.DataFrame(
        {"origin": days - 7, "day": days.astype(np.int32), "units": np.full(weeks, units)}
    )


def test_a_year_of_weeks_is_relied_upon_and_a_month_is_not():
    assert credibility_weight(rows(4)) < 0.15
    assert credibility_weight(rows(10)) == pytest.approx(0.5)
    assert credibility_weight(rows(52)) > 0.95


def test_what_all_did_together_is_given_as_far_as_it_is_not_believed():
    usual = np.array([1.0, 1.0, 2.0])
    assert common_factor(rows(3), usual, 0.0) == pytest.approx([2.0, 2.0, 1.0])
    assert common_factor(rows(3), usual, 1.0) == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("weeks", [1, 2, 3, 4, 9, 60])
def test_each_member_learns_from_some_rows_however_few_weeks_there_are(weeks):
    dealt = assign_folds(pl.concat([rows(weeks)] * 2), 2, 7)
    assert set(dealt.tolist()) == {0, 1}


def test_records_that_hold_one_period_of_examples_are_forecast(shop):
    dataset, rate = shop
    early = datetime(1970, 1, 1) + timedelta(days=FIRST + 7 * 9)
    said = DemandModel(horizon_days=14).fit(dataset, early).predict(dataset, early)
    assert said["mean"].sum() / 2 == pytest.approx(rate.sum(), rel=0.05)
