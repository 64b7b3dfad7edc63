from datetime import datetime

import numpy as np
import polars as pl
import pytest

from features.errors import InvalidInput
from training.models.next_category.cutoffs import followed_pairs, leading_categories, pairs
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.person_periods import bin_edges
from training.models.next_category.task import NEXT_CATEGORY

AS_OF = datetime(2017, 10, 9)
OPTIONS = {"horizon_days": 56}


@pytest.fixture(scope="module")
def model(journey):
    return NextCategoryModel(rounds=60, periods=60_000, cuts=3).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


def test_every_customer_and_category_with_three_purchases_is_answered(model, journey, answers):
    known = pairs(journey, AS_OF, model.names_)
    assert answers.select("customer_id", "category").equals(known.select("customer_id", "category"))
    assert known["purchases"].min() == 3
    assert answers["category"].n_unique() == 40


def test_the_chance_within_two_weeks_is_calibrated_and_sorts(journey, answers):
    scores = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, answers)
    found = {one.metric: one.value for one in scores if one.slice == "all"}
    assert found["auc_within_14"] > 0.7
    assert found["ece_within_14"] < 0.04
    assert 0.72 < found["coverage_80"] < 0.92


def test_it_beats_the_category_curve(journey, answers):
    ids = NEXT_CATEGORY.population(journey, AS_OF, OPTIONS)
    curve = NEXT_CATEGORY.baselines["category_curve"](**OPTIONS).fit(journey, AS_OF)
    theirs = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, curve.predict(journey, AS_OF, ids))[0]
    ours = NEXT_CATEGORY.evaluate(journey, AS_OF, OPTIONS, answers)[0]
    assert ours.metric == theirs.metric == "pinball"
    assert ours.value < 0.95 * theirs.value


def test_quantiles_are_ordered_and_chances_grow_with_days(answers):
    assert (answers["q10"] <= answers["q50"]).all()
    assert (answers["q50"] <= answers["q90"]).all()
    assert (answers["p_within_7"] <= answers["p_within_14"]).all()
    assert (answers["p_within_14"] <= answers["p_within_30"]).all()


def test_too_little_history_gets_the_curve_of_the_category(model, journey):
    asked = pl.DataFrame({"customer_id": ["nobody"], "category": [model.names_[3]]})
    found = model.predict(journey, AS_OF, asked).row(0, named=True)
    assert found["p_within_14"] == model.curves_[3][13]
    assert found["explanations"] == [
        "fewer than 3 purchases from the category: when others buy from it again"
    ]


def test_a_category_that_is_not_answered_for_is_refused_with_those_that_are(model, journey):
    asked = pl.DataFrame({"customer_id": ["1"], "category": ["UNICORNS"]})
    with pytest.raises(InvalidInput, match=model.names_[0]) as error:
        model.predict(journey, AS_OF, asked)
    assert error.value.field == "category"


def test_reasons_tell_the_rhythm_of_the_category(answers):
    told = answers["explanations"].explode().to_list()
    assert any("usually every" in one and "days ago" in one for one in told)
    assert answers["explanations"].list.len().max() == 3


def test_cuts_are_followed_for_one_horizon_or_until_as_of(journey):
    names = leading_categories(journey, AS_OF, 5)
    cuts = followed_pairs(journey, AS_OF, names, 56, step=28, count=3)
    assert [cut.until for cut in cuts] == [28, 56, 56]
    for cut in cuts:
        assert cut.days[cut.bought].max() < cut.until
        assert set(cut.days[~cut.bought]) == {cut.until}


def test_bins_cover_every_day_once():
    for horizon in (30, 56, 61, 200):
        edges = bin_edges(horizon)
        assert (edges[0], edges[-1]) == (0, horizon)
        assert (np.diff(edges) > 0).all()
