"""The common factor of all series has little weight in short records."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.models.demand import model as demand_module
from training.models.demand.common_factor import common_factor, credibility_weight
from training.models.demand.model import DemandModel

FIRST, WEEKS = 17_000, 18
AS_OF = datetime(1970, 1, 1) + timedelta(days=FIRST + 7 * WEEKS)
# A holiday raises three weeks and lowers the next two; afterwards sales are as before.
HOLIDAY = np.array([1.0] * 11 + [1.2, 1.5, 1.9, 0.6, 0.6, 1.0, 1.0])


@pytest.fixture(scope="module")
def shop():
    """Return a dataset and the rate of each of its products."""
    rng = np.random.default_rng(5)
    rate = rng.uniform(2, 30, 250)
    product, week = np.indices((len(rate), WEEKS))
    sold = rng.poisson(rate[:, None] * HOLIDAY)
    sales = pl.DataFrame(
        {
            "product_id": [f"p{i:03d}" for i in product.ravel()],
            "location_id": "1",
            "day": (FIRST + 7 * week.ravel()).astype(np.int32),
            "quantity": sold.ravel().astype(float),
        }
    )
    return Dataset.from_frames("holiday", {"sales": sales.filter(pl.col("quantity") > 0)}), rate


def relative_error(shop):
    """Return the error of the sum of two weeks' forecasts, relative to the true sum."""
    dataset, rate = shop
    model = DemandModel(horizon_days=14, members=2).fit(dataset, AS_OF)
    return abs(model.predict(dataset, AS_OF)["mean"].sum() / (2 * rate.sum()) - 1)


def test_a_single_holiday_moves_forecasts_less_than_at_full_weight(shop, monkeypatch):
    error = relative_error(shop)
    monkeypatch.setattr(demand_module, "credibility_weight", lambda rows: 1.0)
    assert error < 0.08
    assert error < relative_error(shop)


def rows(weeks, units=2.0):
    days = FIRST + 7 * np.arange(weeks)
    return pl.DataFrame(
        {"origin": days - 7, "day": days.astype(np.int32), "units": np.full(weeks, units)}
    )


def test_the_credibility_weight_grows_with_the_number_of_weeks():
    assert credibility_weight(rows(4)) < 0.15
    assert credibility_weight(rows(10)) == pytest.approx(0.5)
    assert credibility_weight(rows(52)) > 0.95


def test_the_common_factor_is_removed_as_far_as_it_has_no_weight():
    expected = np.array([1.0, 1.0, 2.0])
    assert common_factor(rows(3), expected, 0.0) == pytest.approx([2.0, 2.0, 1.0])
    assert common_factor(rows(3), expected, 1.0) == pytest.approx([1.0, 1.0, 1.0])


def test_records_with_one_period_of_training_rows_are_forecast(shop):
    dataset, rate = shop
    early = datetime(1970, 1, 1) + timedelta(days=FIRST + 7 * 9)
    forecasts = DemandModel(horizon_days=14).fit(dataset, early).predict(dataset, early)
    assert forecasts["mean"].sum() / 2 == pytest.approx(rate.sum(), rel=0.05)
