"""Sentences and contributions that explain predictions about customers."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from training.customers.cutoffs import customer_features
from training.customers.explanations import group_contributions, top_explanations
from training.customers.feature_phrases import UNEXPLAINED, feature_text, phrase_of_feature
from training.customers.purchase_timing import tree_inputs
from training.estimators.bg_nbd import ModifiedBgNbd

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def features(journey):
    return customer_features(journey, AS_OF)


@pytest.fixture(scope="module")
def columns(features):
    """Return every column that a customer model reads."""
    days = np.full(features.height, 28)
    trees, _ = tree_inputs(features, ModifiedBgNbd(1, 10, 0.1, 1), 28, days)
    further = ["expected_orders", "expected_spend", "channel_main_share", "channel_spread"]
    return {*features.columns, *trees.columns, *further}


def test_every_feature_has_a_phrase(columns):
    assert [
        name
        for name in sorted(columns)
        if phrase_of_feature(name) is None and name not in UNEXPLAINED
    ] == []


def test_every_feature_of_every_customer_has_a_sentence(features):
    sentences = [
        feature_text(row, name)
        for row in features.sort("visits").gather_every(20).iter_rows(named=True)
        for name in features.columns
        if name != "customer_id"
    ]
    unwanted = ("None", "nan", "_")
    assert all(sentences)
    assert not [text for text in sentences if any(part in text for part in unwanted)]


def test_the_usual_cadence_is_explained_in_a_marketers_words():
    assert feature_text({"weekday_share_5": 0.6}, "weekday_share_5") == "usually shops on Saturdays"
    assert feature_text({"weekday_share_6": 0.05}, "weekday_share_6") == "seldom shops on Sundays"
    assert feature_text({"weekday_share_0": 0.0}, "weekday_share_0") == "never shops on Mondays"
    assert (
        feature_text({"gap_mean": 7.2, "gap_sd": 2.6}, "gap_sd")
        == "comes every 7 days, give or take 3 days"
    )


def test_attributes_are_explained_by_name_and_value():
    assert feature_text({"attribute_household_size": "5+"}, "attribute_household_size") == (
        "household size: 5+"
    )
    assert feature_text({"attribute_age": None}, "attribute_age") == "age not known"
    assert feature_text({"attribute_children": 2.0}, "attribute_children") == "children: 2"


def test_a_group_is_explained_by_its_feature_with_the_largest_contribution_of_its_sign():
    parts = pl.DataFrame(
        {"weekday_share_1": [-0.5], "weekday_share_5": [0.9], "attribute_age": [-0.1]}
    )
    row = {"weekday_share_1": 0.1, "weekday_share_5": 0.7, "attribute_age": "65+"}
    groups, sums, leading = group_contributions(parts)
    assert (groups, leading.tolist()) == (["weekday", "attributes"], [[1, 2]])
    np.testing.assert_allclose(sums, [[0.4, -0.1]])
    ((first, second),) = top_explanations(parts, pl.DataFrame([row]), 2)
    assert first == ("usually shops on Saturdays", pytest.approx(0.4))
    assert second == ("age: 65+", pytest.approx(-0.1))
