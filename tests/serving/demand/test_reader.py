"""What the published forecasts answer, and what they refuse."""

import polars as pl
import pytest

from features.calendar import parse_as_of
from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from serving.demand.reader import DemandReader
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish

FIRST = 17_000
AS_OF = parse_as_of("2017-04-03")  # 17,259 days
QUANTILES = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def shop():
    """Generate 12 products at two locations; `old` stopped long ago, `lone` is at one only."""
    rows = [
        (f"p{i}", where, FIRST + k, float(1 + (i + k) % 3))
        for i in range(12)
        for where in ("1", "2")
        for k in range(0, 259, 2)
    ]
    rows += [("old", "1", FIRST + 3, 2.0), ("lone", "2", FIRST + 200, 1.0)]
    names = {"product_id": pl.String, "location_id": pl.String}
    schema = {**names, "day": pl.Int32, "quantity": pl.Float64}
    catalogue = [(f"p{i}", ("tea", "jam")[i % 2]) for i in range(12)] + [("fresh", "tea")]
    tables = {
        "sales": pl.DataFrame(rows, schema=schema, orient="row"),
        "products": pl.DataFrame(catalogue, schema=["product_id", "category"], orient="row"),
        "locations": pl.DataFrame({"location_id": ["1", "2", "opening"]}),
    }
    return Dataset.from_frames("shop", tables)


@pytest.fixture(scope="module")
def model(shop):
    options = {"grain": "product,location:week", "horizon_days": 28}
    return DemandModel(**options, rows=3_000, rounds=30, members=2).fit(shop, AS_OF)


@pytest.fixture(scope="module")
def answers(model, shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(model, shop, AS_OF, folder)
    return DemandReader.load(folder)


def series(product, location="1"):
    return {"product_id": product, "location_id": location}


def test_answers_are_what_the_model_predicts(answers, model, shop):
    said = answers.answer([series("p4", "2")])[0]["forecast"]
    own = pl.DataFrame([series("p4", "2")])
    expected = model.predict(shop, AS_OF, own).with_columns(pl.col("date").cast(pl.String))
    assert said == expected.select("date", "mean", "q10", "q50", "q90").to_dicts()


def test_answers_come_in_the_order_asked(answers):
    asked = [series("p7"), series("p1"), series("p7", "2")]
    found = answers.answer(asked)
    assert [{k: one[k] for k in ("product_id", "location_id")} for one in found] == asked


def test_the_first_period_begins_at_as_of(answers):
    assert answers.answer([series("p1")])[0]["forecast"][0]["date"] == "2017-04-03"


def test_a_shorter_horizon_gives_the_first_periods(answers):
    whole = answers.answer([series("p1")])[0]["forecast"]
    assert answers.answer([series("p1")], 14)[0]["forecast"] == whole[:2]


def test_only_the_quantiles_asked_for_are_given(answers):
    point = answers.answer([series("p1")], quantiles=[0.9])[0]["forecast"][0]
    assert list(point) == ["date", "mean", "q90"]


def test_a_series_with_a_past_rests_on_it(answers):
    assert answers.answer([series("p1")])[0]["basis"] == "own_history"


def test_a_series_that_stopped_long_ago_is_still_known_and_rests_on_look_alikes(answers):
    found = answers.answer([series("old")])[0]
    assert found["basis"] == "look_alikes"
    assert len(found["forecast"]) == 4


def test_an_unknown_product_is_named(answers):
    with pytest.raises(NotFound, match="'nothing'") as caught:
        answers.answer([series("p1"), series("nothing")])
    assert caught.value.field == "series[1].product_id"


def test_an_unknown_location_is_named(answers):
    with pytest.raises(NotFound, match="'99'") as caught:
        answers.answer([series("p1", "99")])
    assert caught.value.field == "series[0].location_id"


@pytest.mark.parametrize(
    "asked",
    [
        series("fresh"),
        series("p1", "opening"),
        series("lone", "1"),
        {**series("of no catalogue"), "category": "tea"},
    ],
    ids=["a new product", "a new location", "a new pair", "a product that is described"],
)
def test_what_has_not_sold_yet_is_answered_by_look_alikes_with_its_width(answers, asked):
    alone = answers.answer([asked])[0]
    assert alone["basis"] == "look_alikes"
    assert {key: alone[key] for key in asked} == asked
    assert len(alone["forecast"]) == 4
    for point in alone["forecast"]:
        assert point["mean"] > 0
        assert point["q10"] <= point["q50"] <= point["q90"]
        assert point["q10"] < point["q90"]
    assert answers.answer([series("p1"), asked])[1] == alone


def test_a_new_series_is_answered_as_it_is_scored(answers, model, shop):
    asked = [series("fresh"), {**series("of no catalogue", "2"), "category": "tea"}]
    frame = pl.DataFrame(asked, schema=dict.fromkeys(asked[1], pl.String))
    scored = model.predict(shop, AS_OF, frame).with_columns(pl.col("date").cast(pl.String))
    for one, found in zip(asked, answers.answer(asked), strict=True):
        own = scored.filter(pl.col("product_id") == one["product_id"])
        assert found["forecast"] == own.select("date", "mean", "q10", "q50", "q90").to_dicts()


def test_what_is_said_of_a_new_product_has_to_be_known_and_needed(answers):
    with pytest.raises(NotFound, match="no product has it") as caught:
        answers.answer([{**series("of no catalogue"), "category": "cars"}])
    assert caught.value.field == "series[0].category"
    with pytest.raises(InvalidInput, match="leave it out") as caught:
        answers.answer([{**series("p1"), "category": "tea"}])
    assert caught.value.field == "series[0].category"


def test_a_plan_and_reasons_are_refused_for_what_has_not_sold(answers):
    with pytest.raises(InvalidInput, match="has not sold yet") as caught:
        answers.answer([series("p1"), series("fresh")], explain=True)
    assert caught.value.field == "series[1]"


def test_a_product_without_its_location_is_answered_by_the_sum_over_locations(answers):
    parts = answers.answer([series("p1", "1"), series("p1", "2")])
    total = answers.answer([{"product_id": "p1"}])[0]
    assert (total["basis"], total["total_of"]) == ("total", 2)
    for point, one, other in zip(*(found["forecast"] for found in (total, *parts)), strict=True):
        assert point["mean"] == pytest.approx(one["mean"] + other["mean"], abs=1e-9)
        assert point["q10"] <= point["q50"] <= point["q90"]


def test_a_plan_and_reasons_are_refused_for_totals(answers):
    with pytest.raises(InvalidInput, match="is a total") as caught:
        answers.answer([series("p1"), {"location_id": "1"}], explain=True)
    assert caught.value.field == "series[1]"


def test_a_key_that_is_not_the_grains_is_refused(answers):
    with pytest.raises(InvalidInput, match="not a key") as caught:
        answers.answer([{**series("p1"), "colour": "red"}])
    assert caught.value.field == "series[0].colour"


@pytest.mark.parametrize(("days", "allowed"), [(35, "28"), (10, "multiple of 7")])
def test_a_horizon_that_is_not_forecast_is_refused_with_what_is(answers, days, allowed):
    with pytest.raises(InvalidInput, match=allowed) as caught:
        answers.answer([series("p1")], days)
    assert caught.value.field == "horizon"


@pytest.mark.parametrize("level", [0.975, 0.15, 0.995])
def test_a_quantile_between_the_published_ones_is_what_the_model_predicts(
    answers, model, shop, level
):
    asked = series("p4", "2")
    points = answers.answer([asked], quantiles=[level])[0]["forecast"]
    expected = model.predict(shop, AS_OF, pl.DataFrame([asked]), quantiles=[level])
    name = f"q{100 * level:g}"
    assert [point[name] for point in points] == pytest.approx(expected[name].to_list(), abs=1e-9)
