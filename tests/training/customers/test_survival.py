import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.customers.survival import (
    answers_from_curves,
    curves_from_hazards,
    curves_through,
    kaplan_meier,
)
from training.models.next_purchase.person_periods import bin_edges


@settings(deadline=None)
@given(st.floats(0.001, 0.5))
def test_a_constant_daily_hazard_gives_the_geometric_distribution(daily):
    edges = bin_edges(56)
    widths = np.diff(edges)
    curve = curves_from_hazards((1 - (1 - daily) ** widths)[None, :], edges)[0]
    np.testing.assert_allclose(curve, 1 - (1 - daily) ** np.arange(1, 57), atol=1e-8)


@given(st.integers(0, 55))
def test_a_certain_day_is_predicted_as_that_day(day):
    curve = (np.arange(56) >= day).astype(float)[None, :]
    answer = answers_from_curves(pl.Series(["a"]), curve).row(0, named=True)
    assert answer["expected_days"] == day + 0.5
    assert answer["q50"] == pytest.approx(day + 0.5)
    assert answer["p_within_30"] == float(day < 30)


def test_a_quantile_beyond_the_follow_up_is_the_horizon():
    answer = answers_from_curves(pl.Series(["a"]), np.full((1, 56), 0.3)).row(0, named=True)
    assert (answer["q50"], answer["q90"]) == (56, 56)
    assert answer["q10"] < 1


def test_kaplan_meier_is_the_product_of_survival_among_those_at_risk():
    days = np.array([0, 2, 5, 0, 2])
    purchased = np.array([True, True, False, True, False])
    curve = kaplan_meier(days, purchased, 5)
    survival = (1 - 2 / 5) * (1 - 1 / 2)
    np.testing.assert_allclose(curve, [0.4, 0.4, *[1 - survival] * 3])


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=60),
)
def test_kaplan_meier_equals_its_definition(pairs):
    purchase, follow_up = np.array(pairs).T
    purchased = purchase < follow_up
    days = np.minimum(purchase, follow_up)
    events = np.bincount(days[purchased], minlength=30)[:30]
    at_risk = np.array([(days > day).sum() for day in range(30)]) + events
    expected = 1 - np.cumprod(1 - events / np.maximum(at_risk, 1))
    np.testing.assert_allclose(kaplan_meier(days, purchased, 30), expected, atol=1e-12)


def test_kaplan_meier_of_nobody_is_zero():
    empty = np.array([], dtype=np.int64)
    assert kaplan_meier(empty, empty.astype(bool), 3).tolist() == [0, 0, 0]


@given(st.lists(st.floats(0.001, 0.5), min_size=6, max_size=6), st.floats(-4, 4), st.floats(0, 3))
def test_a_curve_passes_through_given_odds_and_keeps_the_later_hazard(hazard, odds, less):
    curve = 1 - np.cumprod(1 - np.array(hazard))[None, :]
    through = {3: np.array([odds]), 5: np.array([odds - less])}
    scaled = curves_through(curve, through)[0]
    for days, log_odds in through.items():
        assert 1 - scaled[days - 1] == pytest.approx(1 / (1 + np.exp(-log_odds[0])))
    assert (np.diff(scaled) >= 0).all()
    later = (1 - scaled[5]) / (1 - scaled[4])
    assert later == pytest.approx((1 - curve[0, 5]) / (1 - curve[0, 4]))
