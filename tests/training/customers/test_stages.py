"""Lifecycle stages: a rule on the churn probability, then on the visits."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.customers.cutoffs import customer_features
from training.customers.stages import stages

AS_OF = datetime(2017, 9, 4)
WEEKLY = range(3, 200, 7)
SCALE = {"won back": 0, "growing": 0, "loyal": 0, "slipping": 1, "lapsed": 2}


@pytest.fixture(scope="module")
def stage_of(shop):
    """Return the stage of a customer with visits so many days before AS_OF, horizon 28."""

    def stage(*ages, churn_probability=0.1):
        rows = [("a", str(age), "p", age, "l") for age in ages]
        features = customer_features(shop(rows, AS_OF), AS_OF)
        return stages(features, np.array([churn_probability]), 28).item()

    return stage


def test_the_first_visits_make_a_customer_new_whatever_the_probability(stage_of):
    assert stage_of(5) == "new"
    assert stage_of(5, 30, churn_probability=0.9) == "new"


def test_a_customer_with_one_visit_long_ago_is_not_new(stage_of):
    assert stage_of(57, churn_probability=0.9) == "lapsed"


def test_from_one_third_on_a_customer_is_slipping_and_from_two_thirds_on_lapsed(stage_of):
    assert stage_of(*WEEKLY, churn_probability=0.33) == "loyal"
    assert stage_of(*WEEKLY, churn_probability=0.34) == "slipping"
    assert stage_of(*WEEKLY, churn_probability=0.66) == "slipping"
    assert stage_of(*WEEKLY, churn_probability=0.67) == "lapsed"


def test_a_frequent_customer_after_one_longer_gap_is_loyal_while_a_return_is_likely(stage_of):
    assert stage_of(*range(6, 365, 2), churn_probability=0.005) == "loyal"


def test_a_recent_customer_with_regular_visits_is_growing(stage_of):
    assert stage_of(*range(3, 90, 7)) == "growing"


def test_a_long_term_customer_with_more_frequent_visits_is_growing(stage_of):
    assert stage_of(*range(1, 28, 3), *range(28, 200, 7)) == "growing"


def test_a_return_after_long_inactivity_is_won_back_for_twelve_weeks(stage_of):
    before = range(100, 300, 7)
    assert stage_of(3, 10, *before) == "won back"
    assert stage_of(*range(3, 88, 7), *range(160, 300, 7)) == "loyal"


def test_a_customer_who_returned_but_will_hardly_buy_again_is_not_won_back(stage_of):
    assert stage_of(3, 10, *range(100, 300, 7), churn_probability=0.7) == "lapsed"


def test_a_customer_with_two_visits_a_year_is_not_won_back(stage_of):
    assert stage_of(20, 200, 380, 560) == "loyal"


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_probability_never_improves_a_stage(journey, low, high):
    features = customer_features(journey, AS_OF)
    better, worse = (
        stages(features, np.full(features.height, probability), 28)
        for probability in sorted((low, high))
    )
    pairs = [(a, b) for a, b in zip(better, worse, strict=True) if a != "new" or b != "new"]
    assert all(SCALE[a] <= SCALE[b] for a, b in pairs)
