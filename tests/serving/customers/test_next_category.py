from datetime import datetime

import polars as pl
import pytest

from features.errors import InvalidInput
from serving.customers.posted_history import PostedCustomers

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(customer_models):
    return customer_models["next-category"]


@pytest.fixture(scope="module")
def served(customer_readers):
    return customer_readers["next-category"]


def test_served_answers_equal_batch_predictions(served, model, journey, as_columns):
    batch = model.predict(journey, AS_OF)
    category = batch["category"][0]
    rows = batch.filter(batch["category"] == category).head(20)
    ids = rows["customer_id"].to_list()[::-1]
    answers = served.answer(ids, category)
    assert [answer["customer_id"] for answer in answers] == ids
    columns = [*map(as_columns, answers[::-1])]
    for answer, row in zip(columns, rows.iter_rows(named=True), strict=True):
        assert answer["expected_days"] == pytest.approx(row["expected_days"], abs=1e-4)
        assert answer["p_within_14"] == pytest.approx(row["p_within_14"], abs=1e-6)
        assert answer["explanations"] == row["explanations"]
        assert (answer["category"], answer["basis"]) == (category, "history")


def test_any_days_and_quantiles_can_be_requested(served):
    answer = served.answer(["nobody"], served.model.categories_[0], [3, 21], [0.25])[0]
    assert answer["basis"] == "population"
    soon, later = answer["within"]
    assert (soon["days"], later["days"]) == (3, 21)
    assert 0 < soon["probability"] < later["probability"] < 1
    assert [quantile["level"] for quantile in answer["quantiles"]] == [0.25]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"customers": ["1"], "category": "UNICORNS"}, "category"),
        ({"customers": ["1"], "category": None, "within_days": [0]}, "within_days[0]"),
    ],
)
def test_invalid_requests_are_refused_by_field(served, request_, field):
    category = request_["category"] or served.model.categories_[0]
    with pytest.raises(InvalidInput) as error:
        served.answer(**request_ | {"category": category})
    assert error.value.field == field


def test_posted_orders_are_answered_as_the_id_is(served, journey, as_columns):
    batch = served.answers.to_dicts()[0]
    customer, category = batch["customer_id"], batch["category"]
    orders = journey.known("orders", AS_OF).collect().to_polars()
    lines = orders.filter(pl.col("customer_id") == customer).with_columns(
        pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")
    )
    rows = lines.select("ts", "revenue", "product_id", "quantity", "kind").to_dicts()
    customers = PostedCustomers.read([{"orders": rows}, {"orders": rows[:1]}], AS_OF)
    days = [7, 90]
    posted, few = map(as_columns, served.answer(customers, category, days))
    (answer,) = served.answer([customer], category, days)
    known = as_columns(answer)
    assert posted["basis"] == "history"
    assert few["basis"] == "population"
    assert posted["explanations"] == known["explanations"]
    assert posted["extrapolated"] == known["extrapolated"]
    assert [entry["extrapolated"] for entry in answer["within"]] == [False, True]
    for name in ("expected_days", "q10", "q50", "q90", "p_within_7", "p_within_90"):
        assert posted[name] == pytest.approx(known[name], abs=1e-4)  # curves are float32
    assert few["p_within_7"] < few["p_within_90"] < 1
    posted_categories, none = served.likely_categories(customers, 3)
    (known_categories,) = served.likely_categories([customer], 3)
    assert [row["category"] for row in posted_categories] == [
        row["category"] for row in known_categories
    ]
    assert none == []
