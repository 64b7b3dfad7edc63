from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import MAX_DAYS
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd

DAYS = (1, 2, 7, 14, 28, 56)
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
AHEAD = [*range(1, 366), 1000, MAX_DAYS]


@st.composite
def any_curves(draw):
    probabilities = sorted(draw(st.lists(st.floats(0, 0.999), min_size=6, max_size=6)))
    parameter = st.floats(0.05, 20)
    process = draw(st.sampled_from([BgNbd, ModifiedBgNbd]))(*(draw(parameter) for _ in range(4)))
    frequency = draw(st.integers(0, 200))
    age = draw(st.floats(1, 700))
    recency = draw(st.floats(0, age)) if frequency else 0.0
    history = tuple(np.array([float(value)]) for value in (frequency, recency, age))
    return PurchaseCurves(np.array(DAYS), np.array([probabilities]), process, history)


@given(any_curves())
def test_survival_never_rises_with_the_days(curves):
    survival = np.array([curves.survival(days)[0] for days in AHEAD])
    assert (np.diff(survival) <= 1e-12).all()
    assert 0 <= survival[-1] <= survival[0] <= 1


@given(any_curves())
def test_churn_and_a_purchase_are_complementary(curves):
    for days in AHEAD[::40]:
        assert curves.survival(days) + curves.within(days) == pytest.approx(1, abs=1e-12)


@given(any_curves())
def test_curves_pass_through_their_probabilities(curves):
    for position, days in enumerate(DAYS):
        assert curves.within(days)[0] == pytest.approx(curves.probabilities[0, position], abs=1e-12)


@given(any_curves())
def test_quantiles_are_ordered_and_null_only_at_the_end(curves):
    quantiles = np.array([curves.quantile(level)[0] for level in LEVELS])
    known = quantiles[~np.isnan(quantiles)]
    assert (np.diff(known) >= 0).all()
    assert np.isnan(quantiles[len(known) :]).all()


@given(any_curves())
def test_a_quantile_is_reached_on_its_day_inside_and_beyond_the_follow_up(curves):
    for level in LEVELS:
        days = curves.quantile(level)[0]
        if np.isnan(days):
            assert curves.within(MAX_DAYS)[0] <= level + 1e-9
        else:
            # Before a jump of the curve, such as at the end of follow-up, less is reached.
            assert curves.within(days + 1e-6)[0] >= level - 1e-6


def test_nothing_jumps_at_the_end_of_follow_up():
    history = (np.array([4.0]), np.array([60.0]), np.array([80.0]))
    curves = PurchaseCurves(
        np.array(DAYS), np.full((1, 6), 0.4), ModifiedBgNbd(1.0, 20.0, 1.0, 4.0), history
    )
    assert curves.within(56.001)[0] == pytest.approx(curves.within(56)[0], abs=1e-4)
    assert curves.within(57)[0] > curves.within(56)[0]


def test_a_certain_day_is_predicted_as_that_day():
    answer = PurchaseCurves.daily((np.arange(56) >= 12).astype(float)[None, :]).columns()
    row = answer.row(0, named=True)
    assert row["q50"] == row["expected_days"] == 12.5
    assert (row["p_within_7"], row["p_within_30"]) == (0.0, 1.0)
    assert row["extrapolated"] == []


def test_the_expected_order_is_on_the_median_day():
    curves = PurchaseCurves.daily((np.arange(56) >= 12).astype(float)[None, :])
    assert curves.next_order(datetime(2020, 3, 1)).to_list() == [date(2020, 3, 13)]


def test_what_lies_beyond_the_follow_up_is_named_and_beyond_ten_years_null():
    lost = (np.array([20.0]), np.array([100.0]), np.array([900.0]))
    curves = PurchaseCurves(
        np.array(DAYS), np.full((1, 6), 0.2), ModifiedBgNbd(1.0, 20.0, 1.0, 4.0), lost
    )
    row = curves.columns([14, 90]).row(0, named=True)
    assert row["q10"] < 56
    assert row["q50"] is row["q90"] is row["expected_days"] is None
    assert row["extrapolated"] == ["expected_days", "q50", "q90", "p_within_90"]
    assert curves.next_order(datetime(2020, 3, 1)).to_list() == [None]


def test_without_a_process_nothing_beyond_the_follow_up_is_answered():
    curves = PurchaseCurves.daily(np.full((1, 56), 0.3))
    assert np.isnan(curves.within(57)).all()
    assert curves.columns().row(0, named=True)["q50"] is None


def test_a_selection_has_the_curves_at_its_positions():
    history = (np.arange(3.0), np.arange(3.0), np.arange(3.0) + 1)
    rows = np.linspace(0.1, 0.9, 18).reshape(3, 6)
    curves = PurchaseCurves(np.array(DAYS), rows, BgNbd(1.0, 20.0, 1.0, 4.0), history)
    chosen = curves.select([2, 0])
    np.testing.assert_array_equal(chosen.within(90), curves.within(90)[[2, 0]])
    assert chosen.answers(pl.DataFrame({"customer_id": ["c", "a"]})).columns[:2] == [
        "customer_id",
        "expected_days",
    ]
