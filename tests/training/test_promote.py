from hypothesis import given
from hypothesis import strategies as st

from training.promote import gate
from training.registry import TASKS

CHURN = TASKS["churn"]  # less is better
RECOMMENDER = TASKS["recommender"]  # more is better

figures = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


def test_a_challenger_that_is_better_everywhere_is_promoted():
    assert gate(CHURN, [0.27, 0.28, 0.29], [0.28, 0.29, 0.30]).promoted
    assert gate(RECOMMENDER, [0.21, 0.22, 0.23], [0.20, 0.21, 0.22]).promoted


def test_a_challenger_that_is_worse_everywhere_is_refused_with_both_figures():
    verdict = gate(CHURN, [0.30, 0.31, 0.32], [0.28, 0.29, 0.30])
    assert not verdict.promoted
    assert "0.3100" in verdict.reason
    assert "0.2900" in verdict.reason


def test_a_difference_within_the_noise_over_folds_does_not_keep_a_challenger_out():
    assert gate(CHURN, [0.30, 0.27, 0.291], [0.28, 0.29, 0.290]).promoted


@given(figures)
def test_the_same_figures_are_never_worse(values):
    assert gate(CHURN, values, values).promoted
    assert gate(RECOMMENDER, values, values).promoted


@given(figures, figures)
def test_of_two_at_least_one_may_take_the_others_place(one, other):
    assert gate(CHURN, one, other).promoted or gate(CHURN, other, one).promoted


def test_without_a_fold_to_compare_by_the_champion_stays():
    assert not gate(CHURN, [], []).promoted
