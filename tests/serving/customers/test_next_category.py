from datetime import datetime

import polars as pl
import pytest

from features.errors import InvalidInput
from serving.customers.next_category import NextCategoryReader
from serving.customers.posted_history import PostedCustomers
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.publish import publish

AS_OF = datetime(2017, 10, 9)


@pytest.fixture(scope="module")
def model(journey):
    return NextCategoryModel(rounds=20, periods=20_000, cutoffs=2).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def served(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("next-category")
    publish(model, journey, AS_OF, folder)
    return NextCategoryReader.load(folder)


def test_served_answers_are_those_of_the_batch(served, model, journey):
    batch = model.predict(journey, AS_OF)
    category = batch["category"][0]
    of = batch.filter(batch["category"] == category).head(20)
    ids = of["customer_id"].to_list()[::-1]
    found = served.answer(ids, category)
    assert [one["customer_id"] for one in found] == ids
    for one, row in zip(found[::-1], of.iter_rows(named=True), strict=True):
        assert one["expected_days"] == row["expected_days"]
        assert one["p_within_14"] == pytest.approx(row["p_within_14"], abs=1e-6)
        assert one["explanations"] == row["explanations"]
        assert (one["category"], one["basis"]) == (category, "history")


def test_any_days_and_quantiles_can_be_asked(served):
    one = served.answer(["nobody"], served.model.categories_[0], [3, 21], [0.25])[0]
    assert one["basis"] == "population"
    assert 0 < one["p_within_3"] < one["p_within_21"] < 1
    assert "q25" in one
    assert "p_within_7" not in one


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({"customers": ["1"], "category": "UNICORNS"}, "category"),
        ({"customers": ["1"], "category": None, "within_days": [0]}, "within_days[0]"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_field(served, ask, field):
    ask = ask | {"category": ask["category"] or served.model.categories_[0]}
    with pytest.raises(InvalidInput) as error:
        served.answer(**ask)
    assert error.value.field == field


def test_own_orders_are_answered_as_the_id_is(served, journey):
    batch = served.answers.to_dicts()[0]
    customer, category = batch["customer_id"], batch["category"]
    orders = journey.known("orders", AS_OF).collect().to_polars()
    mine = orders.filter(pl.col("customer_id") == customer).with_columns(
        pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")
    )
    rows = mine.select("ts", "revenue", "product_id", "quantity", "kind").to_dicts()
    who = PostedCustomers.read([{"orders": rows}, {"orders": rows[:1]}], AS_OF)
    days = [7, 90]
    posted, few = served.answer(who, category, days)
    (known,) = served.answer([customer], category, days)
    assert posted["basis"] == "history"
    assert few["basis"] == "population"
    assert posted["explanations"] == known["explanations"]
    assert posted["extrapolated"] == known["extrapolated"] == ["p_within_90"]
    for name in ("expected_days", "q10", "q50", "q90", "p_within_7", "p_within_90"):
        assert posted[name] == pytest.approx(known[name], abs=1e-5)  # curves are float32
    assert few["p_within_7"] < few["p_within_90"] < 1
    mine, fewer = served.likely_categories(who, 3)
    (known,) = served.likely_categories([customer], 3)
    assert [one["category"] for one in mine] == [one["category"] for one in known]
    assert fewer == []
