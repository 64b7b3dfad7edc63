"""The default grain of demand suits the records."""

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from training.models.demand.grain_choice import MAX_NOISE, default_grain, noise_by_grain
from training.models.demand.task import DEMAND

FIRST = 17_000


def test_the_bundled_records_are_forecast_by_product_and_week(journey):
    assert default_grain(journey) == Grain.parse("product:week")


def test_a_grain_that_is_mostly_noise_is_not_chosen():
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


def test_high_sales_by_location_are_forecast_by_day():
    days = np.arange(FIRST, FIRST + 100, dtype=np.int32)
    sales = pl.DataFrame(
        {"product_id": "a", "location_id": "1", "day": days, "quantity": np.full(100, 4.0)}
    )
    assert str(default_grain(Dataset.from_frames("x", {"sales": sales}))) == "product,location:day"
