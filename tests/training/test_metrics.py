"""Metrics against values worked out by hand or by another package."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics


def test_wape_is_the_sum_of_errors_over_the_sum_of_sales():
    assert metrics.wape([1, 2, 3], [2, 2, 1]) == pytest.approx(3 / 6)


def test_bias_is_above_zero_where_the_forecast_is_too_high():
    assert metrics.bias([1, 2, 3], [2, 3, 4]) == pytest.approx(0.5)


def test_rmsse_of_the_naive_forecast_on_a_random_walk_step_is_one():
    y = np.array([[3.0, 5.0]])
    assert metrics.rmsse(y, np.array([[1.0, 3.0]]), [4.0]) == pytest.approx([1.0])


def test_the_squared_step_counts_from_the_first_sale_on():
    past = np.array([[0.0, 0.0, 2.0, 0.0, 2.0], [1.0, 2.0, 4.0, 4.0, 4.0]])
    assert metrics.squared_step(past) == pytest.approx([4.0, 5 / 4])


def test_a_series_that_never_changed_has_no_rmsse_and_spoils_none():
    past = np.array([[0.0, 3.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
    scaled = metrics.rmsse(np.full((3, 2), 2.0), np.ones((3, 2)), metrics.squared_step(past))
    assert scaled == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)


def test_pinball_at_the_median_is_half_the_absolute_error():
    assert metrics.pinball([1.0, 4.0], [2.0, 2.0], 0.5) == pytest.approx(0.75)


def test_coverage_counts_both_ends():
    assert metrics.coverage([1, 2, 3, 4], [1, 1, 4, 4], [1, 2, 5, 4]) == 0.75


def test_a_calibrated_probability_has_no_calibration_error():
    y = np.tile([0, 1], 500)
    assert metrics.ece(y, np.full(1000, 0.5)) == pytest.approx(0)


def test_lift_of_a_perfect_order_is_the_inverse_of_the_rate():
    y = np.array([1] * 10 + [0] * 90)
    assert metrics.lift(y, y) == pytest.approx(10)


def test_integrated_brier_of_a_certain_and_right_curve_is_zero():
    grid = np.arange(1.0, 6.0)
    times = np.array([2.5, 5.0])
    seen = np.array([1.0, 0.0])
    survival = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=float)
    assert metrics.integrated_brier(times, seen, survival, grid) == 0


def test_ndcg_worked_by_hand():
    hits = np.array([[True, False, True]])
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg_at_k(hits, [2], 3) == pytest.approx([(1 + 0.5) / ideal])


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(1, 10))
def test_recommendation_measures_stay_between_zero_and_one(row, size):
    hits = np.array([row])
    size = max(size, sum(row))
    for value in (
        metrics.recall_at_k(hits, [size], 10),
        metrics.ndcg_at_k(hits, [size], 10),
        metrics.precision_at_k(hits, 10),
        metrics.hit_rate_at_k(hits, 10),
    ):
        assert 0 <= value[0] <= 1 + 1e-12


LISTS = np.array([[0, 1, 2], [0, 3, -1]])


def test_coverage_counts_each_product_once():
    assert metrics.catalogue_coverage(LISTS, 8) == 0.5


def test_novelty_is_the_bits_of_surprise():
    assert metrics.novelty(LISTS, [0.5, 0.25, 0.125, 0.5]) == pytest.approx([2.0, 1.0])


def test_variety_is_one_where_nothing_is_alike_and_zero_where_all_is():
    kinds = (1.0, np.array([0, 1, 2, 0]))
    assert metrics.intra_list_distance(LISTS, [kinds]) == pytest.approx([1.0, 0.0])
    wider = (0.5, np.array([0, 0, 0, 0]))
    assert metrics.intra_list_distance(LISTS, [kinds, wider]) == pytest.approx([0.5, 0.0])


def test_products_without_a_group_are_alike_to_none():
    none = (1.0, np.full(4, -1))
    assert metrics.intra_list_distance(LISTS, [none]) == pytest.approx([1.0, 1.0])


def test_the_long_tail_is_what_is_left_of_the_best_sellers():
    sales = [70.0, 15.0, 10.0, 5.0]
    assert metrics.long_tail(sales).tolist() == [False, False, True, True]
    assert metrics.long_tail_share(LISTS, sales) == pytest.approx([1 / 3, 1 / 2])


def test_the_popularity_lift_is_zero_for_lists_as_popular_as_what_is_bought():
    sales = [3.0, 2.0, 1.0, 5.0]
    assert metrics.popularity_lift(LISTS, sales, [2.0, 2.0]) == pytest.approx([0.0, 1.0])


def test_the_popularity_lift_stands_one_who_buys_what_nobody_else_does():
    lift = metrics.popularity_lift(LISTS, [3.0, 2.0, 1.0, 5.0], [4.0, 0.0])
    assert lift.mean() == pytest.approx((2.0 + 4.0) / (4.0 + 0.0) - 1)


def test_the_price_gap_is_the_share_by_which_what_is_shown_is_dearer():
    log_price = np.log([1.0, 2.0, 4.0, 1.0])
    assert metrics.price_gap(LISTS, log_price, np.log([2.0, 0.5])) == pytest.approx([0.0, 1.0])
