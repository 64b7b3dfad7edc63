from datetime import datetime

import numpy as np
import polars as pl
import pytest

from features.customers.usual_behaviour import PREFIX
from training.customers.cutoffs import customer_features
from training.customers.explanations import group_contributions, top_explanations
from training.customers.feature_phrases import UNEXPLAINED, feature_text, phrase_of_feature
from training.customers.monotone_inputs import monotone_inputs
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd
from training.models.next_purchase.person_periods import bin_edges, expand, inputs_of

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def features(journey):
    return customer_features(journey, AS_OF)


@pytest.fixture(scope="module")
def read(features):
    """Every column that a customer model reads."""
    rows = np.arange(features.height)
    periods = expand(
        inputs_of(features, 0), BgNbd(1, 10, 0.1, 1), bin_edges(56), rows, np.zeros_like(rows)
    )
    trees, _ = monotone_inputs(features, ModifiedBgNbd(1, 10, 0.1, 1), 28)
    further = ["expected_orders", "expected_spend", "channel_main_share", "channel_spread"]
    return {*features.columns, *periods.columns, *trees.columns, *further}


def test_no_feature_is_without_words(read):
    assert [
        name for name in sorted(read) if phrase_of_feature(name) is None and name not in UNEXPLAINED
    ] == []


def test_every_feature_can_be_told_of_every_customer(features):
    told = [
        feature_text(row, name)
        for row in features.sort("visits").gather_every(20).iter_rows(named=True)
        for name in features.columns
        if name != "customer_id"
    ]
    assert not [one for one in told if not one or "None" in one or "nan" in one or "_" in one]


def said(feature, **row):
    return feature_text(row, PREFIX + feature)


def test_routines_are_told_in_a_marketers_words():
    assert said("weekday_5", routine_weekday_5=0.6) == "usually shops on Saturdays"
    assert said("weekday_6", routine_weekday_6=0.05) == "seldom shops on Sundays"
    assert said("weekday_0", routine_weekday_0=0.0) == "never shops on Mondays"
    assert (
        said("gap_cv", routine_gap_mean=7.2, routine_gap_sd=2.6)
        == "comes every 7 days, give or take 3 days"
    )
    assert (
        said("gap_trend", routine_gap_mean=7.0, routine_gap_later=12.0)
        == "came every 12 days of late, every 7 days over all"
    )
    assert said("lines_share_8", routine_lines_share_8=0.25) == "25% of visits have 8 lines or more"
    assert (
        said("spend_small", routine_spend_small=0.4)
        == "40% of visits are small ones for this customer"
    )
    assert said("spend_late", routine_spend_late=0.8) == "spent 20% less a visit of late than usual"


def test_a_routine_of_before_is_told_as_the_routine():
    row = {"routine_weekday_5": 0.6}
    assert feature_text(row, "before_routine_weekday_5") == "usually shops on Saturdays"


def test_what_is_known_of_somebody_is_told_by_name_and_value():
    assert feature_text({"attribute_household_size": "5+"}, "attribute_household_size") == (
        "household size: 5+"
    )
    assert feature_text({"attribute_age": None}, "attribute_age") == "age not known"
    assert feature_text({"attribute_children": 2.0}, "attribute_children") == "children: 2"


def test_a_theme_speaks_in_the_words_of_what_moved_it_its_way():
    parts = pl.DataFrame(
        {"routine_weekday_1": [-0.5], "routine_weekday_5": [0.9], "attribute_age": [-0.1]}
    )
    row = {"routine_weekday_1": 0.1, "routine_weekday_5": 0.7, "attribute_age": "65+"}
    themes, sums, leading = group_contributions(parts)
    assert (themes, leading.tolist()) == (["weekday", "who"], [[1, 2]])
    np.testing.assert_allclose(sums, [[0.4, -0.1]])
    ((first, second),) = top_explanations(parts, pl.DataFrame([row]), 2)
    assert first == ("usually shops on Saturdays", pytest.approx(0.4))
    assert second == ("age: 65+", pytest.approx(-0.1))
