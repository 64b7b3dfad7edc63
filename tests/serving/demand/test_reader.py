"""Answers of the reader of a published demand folder, and what it refuses."""

import polars as pl
import pytest

from features.calendar import parse_as_of
from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from serving.demand.reader import DemandReader
from training.contract import model_with_options
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish

FIRST = 17_000
AS_OF = parse_as_of("2017-04-03")  # 17,259 days
QUANTILES = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def shop():
    """Generate 12 products at two locations; `old` sold long ago, `lone` at one location only."""
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
    return model_with_options(
        DemandModel, {**options, "rows": 3_000, "rounds": 30, "members": 2}
    ).fit(shop, AS_OF)


@pytest.fixture(scope="module")
def reader(model, shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(model, shop, AS_OF, folder)
    return DemandReader.load(folder)


def series(product, location="1"):
    return {"product_id": product, "location_id": location}


def test_answers_are_what_the_model_predicts(reader, model, shop, as_columns):
    forecast = [*map(as_columns, reader.answer([series("p4", "2")])[0]["forecast"])]
    ids = pl.DataFrame([series("p4", "2")])
    expected = model.predict(shop, AS_OF, ids).with_columns(pl.col("date").cast(pl.String))
    assert forecast == expected.select("date", "mean", "q10", "q50", "q90").to_dicts()


def test_answers_are_in_the_order_of_the_request(reader):
    request = [series("p7"), series("p1"), series("p7", "2")]
    answers = reader.answer(request)
    assert [{k: row[k] for k in ("product_id", "location_id")} for row in answers] == request


def test_the_first_period_begins_at_as_of(reader):
    assert reader.answer([series("p1")])[0]["forecast"][0]["date"] == "2017-04-03"


def test_a_shorter_horizon_gives_the_first_periods(reader):
    complete = reader.answer([series("p1")])[0]["forecast"]
    assert reader.answer([series("p1")], 14)[0]["forecast"] == complete[:2]


def test_only_the_requested_quantiles_are_returned(reader):
    point = reader.answer([series("p1")], quantiles=[0.9])[0]["forecast"][0]
    assert [quantile["level"] for quantile in point["quantiles"]] == [0.9]


def test_a_series_with_a_past_is_forecast_from_it(reader):
    assert reader.answer([series("p1")])[0]["basis"] == "own_history"


def test_a_series_that_stopped_long_ago_is_forecast_by_analogues(reader):
    answer = reader.answer([series("old")])[0]
    assert answer["basis"] == "look_alikes"
    assert len(answer["forecast"]) == 4


def test_an_unknown_product_is_named(reader):
    first, error, last = reader.answer([series("p1"), series("nothing"), series("p1")])
    assert first == last == reader.answer([series("p1")])[0]
    assert isinstance(error, NotFound)
    assert "'nothing'" in error.message
    assert error.field == "series[1].product_id"


def test_an_unknown_location_is_named(reader):
    (error,) = reader.answer([series("p1", "99")])
    assert isinstance(error, NotFound)
    assert "'99'" in error.message
    assert error.field == "series[0].location_id"


@pytest.mark.parametrize(
    "keys",
    [
        series("fresh"),
        series("p1", "opening"),
        series("lone", "1"),
        {**series("unlisted"), "category": "tea"},
    ],
    ids=["a new product", "a new location", "a new pair", "a described product"],
)
def test_a_series_without_sales_is_forecast_by_analogues_with_an_interval(reader, keys, as_columns):
    alone = reader.answer([keys])[0]
    assert alone["basis"] == "look_alikes"
    assert {key: alone[key] for key in keys} == keys
    assert len(alone["forecast"]) == 4
    for point in map(as_columns, alone["forecast"]):
        assert point["mean"] > 0
        assert point["q10"] <= point["q50"] <= point["q90"]
        assert point["q10"] < point["q90"]
    assert reader.answer([series("p1"), keys])[1] == alone


def test_the_served_forecast_of_a_new_series_equals_the_batch_forecast(
    reader, model, shop, as_columns
):
    request = [series("fresh"), {**series("unlisted", "2"), "category": "tea"}]
    frame = pl.DataFrame(request, schema=dict.fromkeys(request[1], pl.String))
    scored = model.predict(shop, AS_OF, frame).with_columns(pl.col("date").cast(pl.String))
    for keys, answer in zip(request, reader.answer(request), strict=True):
        rows = scored.filter(pl.col("product_id") == keys["product_id"])
        points = [*map(as_columns, answer["forecast"])]
        assert points == rows.select("date", "mean", "q10", "q50", "q90").to_dicts()


def test_the_attribute_of_a_new_product_has_to_be_known_and_necessary(reader):
    (error,) = reader.answer([{**series("unlisted"), "category": "cars"}])
    assert isinstance(error, NotFound)
    assert "no product has it" in error.message
    assert error.field == "series[0].category"
    with pytest.raises(InvalidInput, match="leave it out") as caught:
        reader.answer([{**series("p1"), "category": "tea"}])
    assert caught.value.field == "series[0].category"


def test_explanations_are_refused_for_a_series_without_sales(reader):
    with pytest.raises(InvalidInput, match="has not sold yet") as caught:
        reader.answer([series("p1"), series("fresh")], explain=True)
    assert caught.value.field == "series[1]"


def test_a_product_without_a_location_is_the_sum_over_locations(reader, as_columns):
    parts = reader.answer([series("p1", "1"), series("p1", "2")])
    total = reader.answer([{"product_id": "p1"}])[0]
    assert (total["basis"], total["total_of"]) == ("total", 2)
    for point, first, second in zip(
        *(map(as_columns, answer["forecast"]) for answer in (total, *parts)), strict=True
    ):
        assert point["mean"] == pytest.approx(first["mean"] + second["mean"], abs=1e-9)
        assert point["q10"] <= point["q50"] <= point["q90"]


def test_explanations_are_refused_for_totals(reader):
    with pytest.raises(InvalidInput, match="is a total") as caught:
        reader.answer([series("p1"), {"location_id": "1"}], explain=True)
    assert caught.value.field == "series[1]"


def test_a_key_that_is_not_of_the_grain_is_refused(reader):
    with pytest.raises(InvalidInput, match="not a key") as caught:
        reader.answer([{**series("p1"), "colour": "red"}])
    assert caught.value.field == "series[0].colour"


@pytest.mark.parametrize(("days", "allowed"), [(35, "28"), (10, "multiple of 7")])
def test_a_horizon_beyond_the_published_one_is_refused_with_the_allowed_one(reader, days, allowed):
    with pytest.raises(InvalidInput, match=allowed) as caught:
        reader.answer([series("p1")], days)
    assert caught.value.field == "horizon"


@pytest.mark.parametrize("level", [0.975, 0.15, 0.995])
def test_a_quantile_between_published_levels_is_that_of_the_model(
    reader, model, shop, level, as_columns
):
    keys = series("p4", "2")
    points = [*map(as_columns, reader.answer([keys], quantiles=[level])[0]["forecast"])]
    expected = model.predict(shop, AS_OF, pl.DataFrame([keys]), quantiles=[level])
    name = f"q{100 * level:g}"
    assert [point[name] for point in points] == pytest.approx(expected[name].to_list(), abs=1e-9)
