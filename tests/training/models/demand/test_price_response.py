"""Planned prices move the forecasts of a model that was fitted without a table of prices."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import foresell
from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan import read_plan
from features.demand.scenario import apply_plan
from training.models.demand.contributions import REASONS
from training.models.demand.model import DemandModel
from training.models.demand.price_response import price_response

FIRST, WEEKS, PRODUCTS = datetime(2023, 1, 2), 60, 40
AS_OF = FIRST + timedelta(weeks=WEEKS)
ELASTICITY = -1.5
PLAN = {"product_id": "p07", "from_date": f"{AS_OF:%Y-%m-%d}"}


@pytest.fixture(scope="module")
def shop():
    """Order lines of products whose price changes now and then; no table of prices."""
    rng = np.random.default_rng(2)
    price = rng.choice([1.6, 2.0, 2.5], (PRODUCTS, WEEKS))
    price[:, -1] = 2.0
    rate = rng.uniform(10, 40, (PRODUCTS, 1)) * (price / 2.0) ** ELASTICITY
    sold = rng.poisson(rate)
    product, week = np.indices(sold.shape)
    orders = pl.DataFrame(
        {
            "order_id": [f"{n}" for n in range(sold.size)],
            "product_id": [f"p{i:02d}" for i in product.ravel()],
            "ts": [FIRST + timedelta(days=7 * int(k) + 6) for k in week.ravel()],
            "quantity": sold.ravel().astype(float),
            "revenue": (sold * price).ravel(),
        }
    )
    return Dataset.from_frames("shop", {"orders": orders.filter(pl.col("quantity") > 0)})


@pytest.fixture(scope="module")
def model(shop):
    options = {"rounds": 20, "members": 1, "rows": 3_000, "min_data_in_leaf": 20}
    return foresell.train("demand", shop, AS_OF, grain="product:week", horizon_days=28, **options)


def test_a_lower_price_raises_and_a_higher_one_lowers_the_forecast(shop, model):
    def ratio(price: float) -> np.ndarray:
        rows = foresell.predict(model, shop, plan=pl.DataFrame([{**PLAN, "price": price}]))
        assert (rows.loc[rows["product_id"] != "p07", "difference"] == 0).all()
        rows = rows[rows["product_id"] == "p07"]
        assert (rows["q10"] <= rows["q50"]).all()
        return (rows["mean"] / rows["mean_recorded_plan"]).to_numpy()

    assert ratio(1.6) == pytest.approx((1.6 / 2.0) ** ELASTICITY, rel=0.15)
    assert ratio(2.5) == pytest.approx((2.5 / 2.0) ** ELASTICITY, rel=0.15)
    assert ratio(2.0) == pytest.approx(1.0)


def test_the_model_is_fitted_without_prices(model):
    assert isinstance(model, DemandModel)
    assert not [name for name in model.boosters_[0].columns if name.startswith("price_")]


def test_the_response_is_explained_as_price(shop, model):
    plan = read_plan([{**PLAN, "price": 1.6}], AS_OF)
    planned = apply_plan(shop, plan, Grain.parse(model.grain), to_day(AS_OF))
    ids = pl.DataFrame({"product_id": ["p07"]})
    parts = model.explain(planned, AS_OF, ids).pivot(on="reason", index="date", values="units")
    mean = model.predict(planned, AS_OF, ids).get_column("mean")
    assert (parts.get_column("price") > 0).all()
    assert parts.select(pl.sum_horizontal(REASONS)).to_series().to_list() == pytest.approx(
        mean.to_list()
    )


def test_a_model_fitted_on_prices_has_no_second_response():
    frame = pl.DataFrame({"price_relative": [0.5], "price_last": [0.0], "price_effect": [-2.0]})
    assert price_response(frame, ["price_relative"]).tolist() == [1.0]
    assert price_response(frame, []).tolist() == pytest.approx([4.0])
    assert price_response(frame.with_columns(price_effect=2.0), []).tolist() == [1.0]
    assert price_response(frame.with_columns(price_relative=None), []).tolist() == [1.0]
