"""Sentences and contributions that explain predictions about customers."""

import re
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from training.customers.cutoffs import customer_features
from training.customers.explanations import Facts, Usual
from training.customers.feature_phrases import (
    CHURN_WORDING,
    PURCHASE_WORDING,
    TEXTS,
    UNEXPLAINED,
    group_of,
    text_of,
)
from training.customers.purchase_timing import tree_inputs
from training.estimators.bg_nbd import ModifiedBgNbd

AS_OF = datetime(2017, 12, 4)
# Sentences with the number that is compared, and whether a larger one favours a purchase.
COMPARED = {
    r"last visit (\d+) days? ago \(median (\d+)\)": False,
    r"usually every (\d+) days? \(median (\d+)\)": False,
    r"(\d+) visits? in the last 84 days \(median (\d+)\)": True,
    r"(\d+) visits? in the last 28 days, usually ([\d.]+)": True,
    r"(\d+) visits? so far \(median (\d+)\)": True,
    r"(\d+) lines? a visit \(median (\d+)\)": True,
    r"customer for (\d+) days? \(median (\d+)\)": True,
    r"bought (\d+) products? so far \(median (\d+)\)": True,
    r"bought from (\d+) categor\w+ so far \(median (\d+)\)": True,
    r"spends ([\d.]+) times the median a day()": True,
    r"spends ([\d.]+) times what a typical visit brings()": True,
    r"usually every (\d+) days?, now (\d+) days?": True,  # the gap beside the inactivity
    r"(\d+)% of lines are returns \(median (\d+)%\)": False,
}


@pytest.fixture(scope="module")
def features(journey):
    return customer_features(journey, AS_OF)


@pytest.fixture(scope="module")
def columns(features):
    """Return every column that a customer model reads."""
    days = np.full(features.height, 28)
    trees, _ = tree_inputs(features, ModifiedBgNbd(1, 10, 0.1, 1), 28, days)
    further = ["channel_main_share", "channel_spread"]
    return {*features.columns, *trees.columns, *further}


@pytest.fixture(scope="module")
def explained(features):
    """Explanations of random contributions, whose signs need not agree with any fact."""
    names = [name for name in features.columns if name != "customer_id"]
    parts = np.random.default_rng(0).normal(size=(features.height, len(names)))
    contributions = pl.DataFrame(parts, schema=names)
    usual = Usual.measure(features, lambda sample: contributions[: sample.height])
    return usual.explanations(contributions, features, PURCHASE_WORDING)


def agrees(text: str, *, favourable: bool) -> bool | None:
    """Return whether a compared number says what the direction says; None without one."""
    for pattern, rises in COMPARED.items():
        match = re.fullmatch(pattern, text)
        if match is not None:
            value, other = float(match[1]), float(match[2] or 1)
            return value != other and (value > other) == (rises == favourable)
    return None


def test_every_feature_is_explained_by_a_group_with_a_text(columns):
    groups = {name: group_of(name) for name in columns if not name.startswith(UNEXPLAINED)}
    assert [name for name, group in groups.items() if group is None] == []
    assert all(text_of(group) for group in groups.values())


@pytest.mark.parametrize("favourable", [True, False])
@pytest.mark.parametrize("group", TEXTS)
def test_every_text_agrees_with_its_direction_for_every_customer(features, group, favourable):
    medians = Usual.measure(features, lambda sample: sample.select(base=0.0)).medians
    for row in features.iter_rows(named=True):
        text = text_of(group)(Facts(row, medians, favourable))
        assert text is None or agrees(text, favourable=favourable) is not False
        assert text is None or not any(part in text for part in ("None", "nan", "_", " 1.0 times"))


def test_every_sentence_begins_with_the_sign_of_its_contribution(explained):
    pairs = [pair for row in explained for pair in row]
    assert len(pairs) > 300
    assert all(text.startswith("sooner: " if value > 0 else "later: ") for text, value in pairs)


def test_a_prediction_is_explained_in_one_direction_only(explained):
    assert {len({value > 0 for _, value in row}) for row in explained} <= {0, 1}


def test_no_sentence_is_repeated(explained):
    assert all(len({text for text, _ in row}) == len(row) <= 3 for row in explained)


def one(row, contributions, medians, *, wording=CHURN_WORDING, attributes=False):
    (found,) = Usual(medians).explanations(
        pl.DataFrame([contributions]), pl.DataFrame([row]), wording, attributes=attributes
    )
    return found


LATE = {"recency": 19.0, "gap_median": 6.0, "visits": 40, "visits_84": 3, "visits_28": 0}
MEDIANS = {"recency": 6.0, "visits_84": 9.0, "visits": 39.0, "tenure": 340.0, "discount_share": 0.1}


def test_longer_inactivity_than_usual_raises_churn():
    assert one(LATE, {"recency": 0.8, "visits_84": 0.4}, MEDIANS) == [
        ("raises churn: usually every 6 days, now 19 days", pytest.approx(0.8)),
        ("raises churn: 3 visits in the last 84 days (median 9)", pytest.approx(0.4)),
    ]


def test_a_fact_that_contradicts_its_contribution_is_not_named():
    assert one(LATE, {"recency": -0.8, "visits_84": -0.4}, MEDIANS) == []


def test_what_lowers_churn_is_no_reason_of_a_raised_probability():
    found = one(LATE | {"visits_84": 20}, {"recency": 0.8, "visits_84": -0.4}, MEDIANS)
    assert [text for text, _ in found] == ["raises churn: usually every 6 days, now 19 days"]


def test_contributions_are_compared_with_the_mean():
    usual = Usual(MEDIANS, {"recency": -2.0})
    (found,) = usual.explanations(
        pl.DataFrame({"recency": [-1.5]}), pl.DataFrame([LATE]), CHURN_WORDING
    )
    assert found == [("raises churn: usually every 6 days, now 19 days", pytest.approx(0.5))]


@pytest.mark.parametrize("row", [{"discount_share": 0.1}, {"discount_share": None}])
def test_what_is_usual_or_missing_explains_nothing(row):
    assert one(row, {"discount_share": 0.8}, MEDIANS) == []


def test_small_contributions_explain_nothing():
    assert one(LATE, {"recency": 0.04}, MEDIANS) == []


def test_attributes_are_named_only_if_allowed():
    row, contributions = {"attribute_household_size": "5+"}, {"attribute_household_size": 0.3}
    assert one(row, contributions, {}) == []
    assert one(row, contributions, {}, attributes=True) == [
        ("raises churn: household size: 5+", pytest.approx(0.3))
    ]


def test_an_unknown_attribute_explains_nothing():
    row, contributions = {"attribute_age": None}, {"attribute_age": 0.3}
    assert one(row, contributions, {}, attributes=True) == []


def test_numbers_come_with_their_noun_in_the_singular_or_plural():
    row = LATE | {"visits_84": 1}
    ((text, _),) = one(row, {"visits_84": 0.4}, MEDIANS)
    assert text == "raises churn: 1 visit in the last 84 days (median 9)"
