"""What a planner asks over HTTP: discounts at one place on some days, and new products."""

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
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish
from training.published import versions as published

FIRST, DAYS, TODAY = 17_000, 119, 17_000 + 105
AS_OF = day_start(TODAY)
PRODUCTS, PLACES = [f"p{i:02d}" for i in range(40)], ["1", "2"]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Publish demand by product, place and day, where discounts sell by their depth; ask it."""
    rng = np.random.default_rng(3)
    shape = (len(PRODUCTS), len(PLACES), DAYS // 7)
    deep = np.where(rng.random(shape) < 0.3, rng.choice([0.1, 0.3, 0.5], shape), 0.0)
    rate = rng.uniform(3, 12, shape[:2])[:, :, None]
    sold = rng.poisson(np.repeat(rate * (1 + 3 * deep), 7, axis=2))
    product, place, day = np.indices(sold.shape)
    sales = {
        "product_id": np.array(PRODUCTS)[product.ravel()],
        "location_id": np.array(PLACES)[place.ravel()],
        "day": (FIRST + day.ravel()).astype(np.int32),
        "quantity": sold.ravel().astype(float),
    }
    product, place, week = np.nonzero(deep)
    start = (FIRST + 7 * week).astype(np.int32)
    promotions = {
        "product_id": np.array(PRODUCTS)[product],
        "location_id": np.array(PLACES)[place],
        "kind": "discount",
        "from_day": start,
        "to_day": start + 7,
        "depth": deep[product, place, week],
    }
    products = {"product_id": [*PRODUCTS, "new"], "category": "tea"}
    tables = {"sales": sales, "promotions": promotions, "products": products}
    frames = {name: pl.DataFrame(columns) for name, columns in tables.items()}
    shop = Dataset.from_frames("shop", frames)
    options = {"grain": "product,location:day", "horizon_days": 14, "learning_rate": 0.1}
    model = DemandModel(**options, rows=6_000, rounds=30, members=1, min_data_in_leaf=40).fit(
        shop, AS_OF
    )
    home = tmp_path_factory.mktemp("home")
    draft = published.root(home) / ".v1"
    (draft / "demand").mkdir(parents=True)
    publish(model, shop, AS_OF, draft / "demand")
    one = published.PublishedModel(version="demand/1", run_id="r", snapshot="s", as_of=AS_OF)
    created = datetime.now().astimezone()
    record = published.PublishedVersion(
        version="v1", dataset="d", created=created, models={"demand": one}
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")
    predictor = VersionHolder([home], {"demand": DemandReader.load}, poll_seconds=60)
    predictor.refresh()
    app = build_app(predictor, max_body_bytes=1_000_000)

    def post(series, plan=()):
        async def send():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
                body = {"series": series, "plan": list(plan)}
                return await http.post("/v1/forecast", json=body)

        return anyio.run(send)

    return post


def discount(depth, first=3, last=5, product="p04", place="1"):
    dates = [day_start(TODAY + k).date().isoformat() for k in (first, last + 1)]
    named = {"product_id": product, "location_id": place, "kind": "discount", "depth": depth}
    return {**named, "from_date": dates[0], "to_date": dates[1]}


def series(product, place="1"):
    return {"product_id": product, "location_id": place}


def test_a_promotion_moves_only_the_series_and_the_days_that_it_covers(ask):
    asked = [series("p04"), series("p04", "2"), series("p05"), series("p05", "2")]
    found = ask(asked, [discount(0.5)]).json()["results"]
    moved = {
        (one["product_id"], one["location_id"], step)
        for one in found
        for step, point in enumerate(one["forecast"])
        if point["difference"] != 0
    }
    assert moved == {("p04", "1", step) for step in (3, 4, 5)}


def test_a_deeper_planned_discount_never_lowers_a_day(ask):
    means = [
        [point["mean"] for point in ask([series("p04")], [plan]).json()["results"][0]["forecast"]]
        for plan in map(discount, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    ]
    assert np.diff(means, axis=0).min() >= 0
    assert sum(means[-1][3:6]) > 1.3 * sum(means[0][3:6])


def test_the_same_question_has_the_same_answer_to_the_byte(ask):
    question = ([series("p04"), series("p05")], [discount(0.3)])
    assert ask(*question).content == ask(*question).content


def test_a_product_that_has_not_sold_is_answered_and_says_so(ask):
    answer = ask([series("new", "2")])
    assert answer.status_code == 200, answer.text
    one = answer.json()["results"][0]
    assert (one["basis"], len(one["forecast"])) == ("look_alikes", 14)
    refused = ask([series("new", "2")], [discount(0.3)])
    assert (refused.status_code, refused.json()["field"]) == (422, "series[0]")
