"""Forecasts over HTTP: discounts at one location on some days, and new products."""

from datetime import datetime

import anyio
import httpx
import numpy as np
import polars as pl
import pytest

from features.calendar import day_start
from features.dataset import Dataset
from serving.app import build_app
from serving.demand.reader import DemandReader
from serving.predictor import VersionHolder
from training.contract import model_with_options
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish
from training.published import versions as published

FIRST, DAYS, TODAY = 17_000, 119, 17_000 + 105
AS_OF = day_start(TODAY)
PRODUCTS, LOCATIONS = [f"p{i:02d}" for i in range(40)], ["1", "2"]


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    """Publish demand by product, location and day that grows with discounts; return a client."""
    rng = np.random.default_rng(3)
    shape = (len(PRODUCTS), len(LOCATIONS), DAYS // 7)
    depth = np.where(rng.random(shape) < 0.3, rng.choice([0.1, 0.3, 0.5], shape), 0.0)
    rate = rng.uniform(3, 12, shape[:2])[:, :, None]
    sold = rng.poisson(np.repeat(rate * (1 + 3 * depth), 7, axis=2))
    product, location, day = np.indices(sold.shape)
    sales = {
        "product_id": np.array(PRODUCTS)[product.ravel()],
        "location_id": np.array(LOCATIONS)[location.ravel()],
        "day": (FIRST + day.ravel()).astype(np.int32),
        "quantity": sold.ravel().astype(float),
    }
    product, location, week = np.nonzero(depth)
    start = (FIRST + 7 * week).astype(np.int32)
    promotions = {
        "product_id": np.array(PRODUCTS)[product],
        "location_id": np.array(LOCATIONS)[location],
        "kind": "discount",
        "from_day": start,
        "to_day": start + 7,
        "depth": depth[product, location, week],
    }
    products = {"product_id": [*PRODUCTS, "new"], "category": "tea"}
    tables = {"sales": sales, "promotions": promotions, "products": products}
    frames = {name: pl.DataFrame(columns) for name, columns in tables.items()}
    shop = Dataset.from_frames("shop", frames)
    options = {"grain": "product,location:day", "horizon_days": 14, "learning_rate": 0.1}
    model = model_with_options(
        DemandModel, {**options, "rows": 6_000, "rounds": 30, "members": 1, "min_data_in_leaf": 40}
    ).fit(shop, AS_OF)
    home = tmp_path_factory.mktemp("home")
    draft = published.root(home) / ".v1"
    (draft / "demand").mkdir(parents=True)
    publish(model, shop, AS_OF, draft / "demand")
    champion = published.PublishedModel(version="demand/1", run_id="r", snapshot="s", as_of=AS_OF)
    created = datetime.now().astimezone()
    record = published.PublishedVersion(
        version="v1", dataset="d", created=created, models={"demand": champion}
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")
    predictor = VersionHolder([home], {"demand": DemandReader.load}, poll_seconds=60)
    predictor.refresh()
    app = build_app(predictor, max_body_bytes=1_000_000)

    def send(series, plan=None):
        async def request():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
                body = {"series": series, "plan": plan}
                return await http.post("/v1/forecast", json=body)

        return anyio.run(request)

    return send


def discount(depth, first=3, last=5, product="p04", location="1"):
    dates = [day_start(TODAY + k).date().isoformat() for k in (first, last + 1)]
    named = {"product_id": product, "location_id": location, "kind": "discount", "depth": depth}
    return {**named, "from_date": dates[0], "to_date": dates[1]}


def series(product, location="1"):
    return {"product_id": product, "location_id": location}


def test_a_promotion_changes_only_the_series_and_days_that_it_covers(post):
    request = [series("p04"), series("p04", "2"), series("p05"), series("p05", "2")]
    results = post(request, [discount(0.5)]).json()["results"]
    moved = {
        (result["product_id"], result["location_id"], step)
        for result in results
        for step, point in enumerate(result["forecast"])
        if point["difference"] != 0
    }
    assert moved == {("p04", "1", step) for step in (3, 4, 5)}


def test_a_deeper_planned_discount_never_lowers_a_day(post):
    means = [
        [point["mean"] for point in post([series("p04")], [plan]).json()["results"][0]["forecast"]]
        for plan in map(discount, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    ]
    assert np.diff(means, axis=0).min() >= 0
    assert sum(means[-1][3:6]) > 1.3 * sum(means[0][3:6])


def test_the_same_request_has_the_same_answer_to_the_byte(post):
    request = ([series("p04"), series("p05")], [discount(0.3)])
    assert post(*request).content == post(*request).content


def test_a_product_without_sales_is_forecast_by_analogues(post):
    answer = post([series("new", "2")])
    assert answer.status_code == 200, answer.text
    result = answer.json()["results"][0]
    assert (result["basis"], len(result["forecast"])) == ("look_alikes", 14)
    refused = post([series("new", "2")], [discount(0.3)])
    assert (refused.status_code, refused.json()["field"]) == (422, "series[0]")
