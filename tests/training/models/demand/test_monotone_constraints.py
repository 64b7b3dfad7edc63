"""Deeper discounts and lower prices never lower a forecast where demand responded to them."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.contract import model_with_options
from training.models.demand.model import DemandModel
from training.models.demand.monotone_constraints import monotone_constraints

FIRST, WEEKS, PRODUCTS = 17_000, 40, 60
START = FIRST + 7 * 36
AS_OF = datetime(1970, 1, 1) + timedelta(days=START)
OPTIONS = {"grain": "product:week", "horizon_days": 28}
SMALL = {"rows": 4_000, "rounds": 40, "members": 2, "min_data_in_leaf": 40}


@pytest.fixture(scope="module")
def shop():
    """Generate sales that grow with the depth of a discount, as (sales, promotions)."""
    rng = np.random.default_rng(1)
    shape = (PRODUCTS, WEEKS)
    depth = np.where(rng.random(shape) < 0.3, rng.choice([0.1, 0.3, 0.5], shape), 0.0)
    sold = rng.poisson(rng.uniform(4, 20, PRODUCTS)[:, None] * (1 + 3 * depth))
    product, week = np.indices(sold.shape)
    names = np.array([f"p{i:02d}" for i in range(PRODUCTS)])
    sales = pl.DataFrame(
        {
            "product_id": names[product.ravel()],
            "location_id": "1",
            "day": (FIRST + 7 * week.ravel()).astype(np.int32),
            "quantity": sold.ravel().astype(float),
        }
    )
    return sales, discounts(names[product.ravel()], FIRST + 7 * week.ravel(), depth.ravel())


def discounts(products, days, depth):
    plan = pl.DataFrame(
        {
            "product_id": products,
            "location_id": "1",
            "kind": "discount",
            "from_day": np.asarray(days, dtype=np.int32),
            "to_day": np.asarray(days, dtype=np.int32) + 7,
            "depth": depth,
        },
        schema_overrides={"to_day": pl.Int32},
    )
    return plan.filter(pl.col("depth") > 0)


@pytest.fixture(scope="module")
def model(shop):
    sales, plan = shop
    dataset = Dataset.from_frames("shop", {"sales": sales, "promotions": plan})
    return model_with_options(DemandModel, {**OPTIONS, **SMALL}).fit(dataset, AS_OF)


def test_a_deeper_planned_discount_never_lowers_a_forecast(shop, model):
    sales, plan = shop
    products = sorted(set(sales["product_id"]))
    past = plan.filter(pl.col("from_day") < START)
    means = []
    for depth in (0.05, 0.15, 0.3, 0.4, 0.5, 0.7):
        planned = discounts(products, [START + 7] * PRODUCTS, [depth] * PRODUCTS)
        promotions = pl.concat([past, planned])
        dataset = Dataset.from_frames("x", {"sales": sales, "promotions": promotions})
        forecast = model.predict(dataset, AS_OF)
        means.append(forecast.filter(pl.col("date").cast(pl.Int32) == START + 7)["mean"].to_numpy())
    steps = np.diff(np.stack(means), axis=0)
    assert steps.min() >= -1e-9
    assert means[-1].sum() > 1.5 * means[0].sum()


def test_a_constraint_has_the_direction_of_the_data():
    rng = np.random.default_rng(0)
    price, level = rng.uniform(0.5, 1.0, 500), np.ones(500)
    features = pl.DataFrame({"price_relative": price})
    assert monotone_constraints(features, 2 - price, level) == {"price_relative": -1}
    assert monotone_constraints(features, price, level) == {}
