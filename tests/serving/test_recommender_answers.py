"""What a published recommender answers, next to what the model itself says."""

import subprocess
import sys
from datetime import datetime

import polars as pl
import pytest

from features.errors import InvalidInput
from serving.answers.recommender import RecommenderAnswers
from training.models.recommender import RecommenderModel

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(journey):
    small = RecommenderModel(
        cuts=1, taste_rounds=20, moment_rounds=20, scored_products=500, min_data_in_leaf=50
    )
    return small.fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recommender")
    model.publish(journey, AS_OF, folder)
    return RecommenderAnswers.load(folder)


@pytest.fixture(scope="module")
def lists(model, journey):
    return model.predict(journey, AS_OF)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def test_answers_are_the_models_own(answers, lists):
    columns = ["rank", "product_id", "score", "reason"]
    customers = lists.get_column("customer_id").unique().sort().to_list()
    for answer in answers.answer(customers, 100, []):
        own = lists.filter(pl.col("customer_id") == answer["customer_id"]).select(
            "rank", "product_id", "score", "reason"
        )
        assert answer["items"] == own.filter(pl.col("rank") <= 100).select(columns).to_dicts()


def test_an_unknown_customer_gets_what_is_popular_and_is_told_so(answers):
    first, second = answers.answer(["nobody", "no one"], 5, [])
    assert first["basis"] == "population"
    assert {item["reason"] for item in first["items"]} == {"popular"}
    assert first["items"] == second["items"]
    assert len(first["items"]) == 5


def test_an_excluded_product_never_appears(answers):
    (whole,) = answers.answer(["1"], 10, [])
    out = products(whole)[:3]
    (rest,) = answers.answer(["1"], 100, out)
    assert not set(out) & set(products(rest))
    assert products(rest)[:7] == products(whole)[3:]
    assert [item["rank"] for item in rest["items"]] == list(range(1, len(rest["items"]) + 1))
    assert len(rest["items"]) >= 97


def test_an_excluded_product_never_appears_for_the_unknown_either(answers):
    (whole,) = answers.answer(["nobody"], 3, [])
    (rest,) = answers.answer(["nobody"], 3, products(whole))
    assert not set(products(whole)) & set(products(rest))


def test_the_order_asked_is_the_order_answered(answers):
    asked = ["1001", "nobody", "1", "1001"]
    assert [one["customer_id"] for one in answers.answer(asked, 1, [])] == asked


def test_the_same_question_has_the_same_answer(answers):
    assert answers.answer(["1", "nobody"], 20, ["x"]) == answers.answer(["1", "nobody"], 20, ["x"])


def test_few_baskets_are_said_to_be_few(answers):
    few = [customer for customer, baskets in answers.baskets.items() if baskets < 3]
    many = [customer for customer, baskets in answers.baskets.items() if baskets >= 3]
    assert {one["basis"] for one in answers.answer(many, 1, [])} == {"history"}
    assert all(one["basis"] == "few_purchases" for one in answers.answer(few, 1, []))


@pytest.mark.parametrize("k", [0, -1, 101])
def test_a_length_out_of_range_is_refused_with_what_is_allowed(answers, k):
    with pytest.raises(InvalidInput, match="from 1 to 100") as error:
        answers.answer(["1"], k, [])
    assert error.value.field == "k"


def test_answering_loads_no_training_libraries():
    code = (
        "import sys, serving.answers.recommender; "
        "print([m for m in ('mlflow', 'matplotlib', 'implicit', 'lifelines', 'statsforecast') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
