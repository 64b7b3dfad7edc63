"""Forecasts of series without sales."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from features.demand.cold_start import Analogues
from features.demand.grain import Grain

FIRST = 17_000
DAY = FIRST + 7 * 40
AS_OF = datetime(1970, 1, 1) + timedelta(days=DAY)
WEEKLY = Grain.parse("product:week")


def sales(rows):
    names = {"product_id": pl.String, "location_id": pl.String}
    schema = {**names, "day": pl.Int32, "quantity": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="module")
def tables():
    """Twelve new products: teas sell 10 a week at first, then 4; jams always sell 1."""
    rows = [("old", "1", FIRST + k, 1.0) for k in range(0, 280, 7)]
    for i in range(6):
        start = FIRST + 7 * (10 + i)
        weeks = range((DAY - start) // 7)
        rows += [(f"tea{i}", "1", start + 7 * k, 10.0 if k < 2 else 4.0) for k in weeks]
        rows += [(f"jam{i}", "1", start + 7 * k, 1.0) for k in weeks]
    names = [f"{kind}{i}" for kind in ("tea", "jam") for i in range(6)] + ["tea-new", "jam-new"]
    products = pl.DataFrame(
        {"product_id": names, "category": [name[:3] for name in names], "department": "food"}
    )
    return {"sales": sales(rows), "products": products}


def forecast(dataset, grain, as_of, steps, keys):
    return Analogues.fit(dataset, grain, as_of, steps).forecast(keys)


def series(*products):
    return pl.DataFrame({"product_id": list(products)})


def test_a_new_product_follows_new_products_of_its_category(tables):
    sales_ahead = forecast(
        Dataset.from_frames("x", tables), WEEKLY, AS_OF, 4, series("tea-new", "jam-new")
    )
    tea, jam = sales_ahead.mean
    assert (tea[:2] > 1.5 * tea[2:]).all()
    assert (tea > 1.5 * jam).all()


def test_products_without_catalogue_or_plan_are_left_out(tables):
    sales_ahead = forecast(Dataset.from_frames("x", tables), WEEKLY, AS_OF, 4, series("nobody"))
    assert not len(sales_ahead.rows)


def test_a_product_sells_nothing_before_its_first_price(tables):
    prices = pl.DataFrame(
        {"product_id": ["tea-new"], "location_id": ["1"], "from_day": [DAY + 14], "price": [2.0]},
        schema_overrides={"from_day": pl.Int32},
    )
    dataset = Dataset.from_frames("x", {**tables, "prices": prices})
    mean = forecast(dataset, WEEKLY, AS_OF, 4, series("tea-new")).mean[0]
    assert mean[:2].tolist() == [0.0, 0.0]
    assert (mean[2:] > 5).all()


def test_sales_at_or_after_as_of_change_nothing(tables):
    later = sales([("tea-new", "1", DAY + k, 99.0) for k in range(20)])
    more = {**tables, "sales": pl.concat([tables["sales"], later])}
    new = series("tea-new", "jam-new")
    before, after = (
        forecast(Dataset.from_frames("x", t), WEEKLY, AS_OF, 4, new) for t in (tables, more)
    )
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.ratio, after.ratio)


def test_a_new_location_sells_the_rate_of_others_scaled_by_its_size():
    rows = [
        (p, w, FIRST + k, n) for p, w, n in (("a", "1", 4.0), ("a", "2", 2.0)) for k in range(280)
    ]
    rows += [("b", "3", FIRST + k, 3.0) for k in range(280)]
    grain = Grain.parse("product,location:week")
    new = pl.DataFrame({"product_id": ["a", "b"], "location_id": ["3", "1"]})
    sales_ahead = forecast(Dataset.from_frames("x", {"sales": sales(rows)}), grain, AS_OF, 2, new)
    # Location 3 is as large as the mean of the three; 1 is a third larger.
    assert sales_ahead.mean[:, 0] == pytest.approx([21.0, 28.0])
