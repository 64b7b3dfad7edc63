import re
from datetime import datetime

import polars as pl
import pytest

from features.errors import InvalidInput
from training.models.next_category.cutoffs import pairs
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.task import NEXT_CATEGORY

AS_OF = datetime(2017, 10, 9)
OPTIONS = {"horizon_days": 56}


@pytest.fixture(scope="module")
def model(journey):
    return NextCategoryModel(rounds=60, periods=60_000, cutoffs=3).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


def test_every_pair_of_three_purchases_is_predicted(model, journey, answers):
    known = pairs(journey, AS_OF, model.categories_)
    assert answers.select("customer_id", "category").equals(known.select("customer_id", "category"))
    assert known["purchases"].min() == 3
    assert answers["category"].n_unique() == 40


def test_the_probability_within_two_weeks_is_calibrated_and_discriminates(journey, answers):
    scores = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, answers)
    values = {score.metric: score.value for score in scores if score.slice == "all"}
    assert values["auc_within_14"] > 0.7
    assert values["ece_within_14"] < 0.04
    assert 0.72 < values["coverage_80"] < 0.92


def test_it_beats_the_category_curve(journey, answers):
    ids = NEXT_CATEGORY.population(journey, AS_OF, OPTIONS)
    curve = NEXT_CATEGORY.baselines["category_curve"](**OPTIONS).fit(journey, AS_OF)
    baseline = curve.predict(journey, AS_OF, ids)
    baseline_score = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, baseline)[0]
    score = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, answers)[0]
    assert score.metric == baseline_score.metric == "pinball"
    assert score.value < 0.95 * baseline_score.value


def test_quantiles_are_ordered_and_probabilities_increase_with_days(answers):
    assert (answers["q10"] <= answers["q50"]).all()
    assert (answers["q50"] <= answers["q90"]).all()
    assert (answers["p_within_7"] <= answers["p_within_14"]).all()
    assert (answers["p_within_14"] <= answers["p_within_30"]).all()


def test_too_little_history_gets_the_curve_of_the_category(model, journey):
    ids = pl.DataFrame({"customer_id": ["nobody"], "category": [model.categories_[3]]})
    answer = model.predict(journey, AS_OF, ids).row(0, named=True)
    assert answer["p_within_14"] == model.curves_[3][13]
    assert answer["explanations"] == []


def test_an_unknown_category_is_refused_with_the_known_ones(model, journey):
    ids = pl.DataFrame({"customer_id": ["1"], "category": ["UNICORNS"]})
    with pytest.raises(InvalidInput, match=model.categories_[0]) as error:
        model.predict(journey, AS_OF, ids)
    assert error.value.field == "category"


def test_explanations_state_the_cadence_of_the_category(answers):
    sentences = answers["explanations"].explode().drop_nulls().to_list()
    assert any("usually every" in text for text in sentences)
    assert answers["explanations"].list.len().max() == 3


def test_explanations_support_the_answer_and_agree_with_their_numbers(answers):
    pairs = answers.explode("explanations", "contributions").drop_nulls("explanations")
    for text, value in pairs.select("explanations", "contributions").unique().iter_rows():
        assert text.startswith("sooner: " if value > 0 else "later: ")
        match = re.search(
            r"(\d+)%? (?:days?|of visits|visits? in 28 days).*\(median (\d+)%?\)", text
        )
        if match is not None:
            rises = "every" not in text and "ago" not in text
            assert (float(match[1]) > float(match[2])) == (rises == (value > 0)), text


def test_no_explanation_is_repeated(answers):
    assert (answers["explanations"].list.n_unique() == answers["explanations"].list.len()).all()
