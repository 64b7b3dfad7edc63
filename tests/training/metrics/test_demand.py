"""Metrics of demand forecasts, against values computed by hand."""

import numpy as np
import pytest

from training import metrics


def test_wape_is_the_sum_of_errors_over_the_sum_of_sales():
    assert metrics.wape([1, 2, 3], [2, 2, 1]) == pytest.approx(3 / 6)


def test_bias_is_positive_if_the_forecast_is_too_high():
    assert metrics.bias([1, 2, 3], [2, 3, 4]) == pytest.approx(0.5)


def test_rmsse_of_the_naive_forecast_on_a_random_walk_step_is_one():
    y = np.array([[3.0, 5.0]])
    assert metrics.rmsse(y, np.array([[1.0, 3.0]]), [4.0]) == pytest.approx([1.0])


def test_the_squared_step_counts_from_the_first_sale():
    past = np.array([[0.0, 0.0, 2.0, 0.0, 2.0], [1.0, 2.0, 4.0, 4.0, 4.0]])
    assert metrics.squared_step(past) == pytest.approx([4.0, 5 / 4])


def test_a_constant_series_has_no_rmsse_and_does_not_affect_others():
    past = np.array([[0.0, 3.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
    scaled = metrics.rmsse(np.full((3, 2), 2.0), np.ones((3, 2)), metrics.squared_step(past))
    assert scaled == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)


def test_pinball_at_the_median_is_half_the_absolute_error():
    assert metrics.pinball([1.0, 4.0], [2.0, 2.0], 0.5) == pytest.approx(0.75)


def test_coverage_counts_both_ends():
    assert metrics.coverage([1, 2, 3, 4], [1, 1, 4, 4], [1, 2, 5, 4]) == 0.75


def test_the_weighted_quantile_loss_at_the_median_is_wape():
    y, forecast = [1.0, 4.0, 5.0], [2.0, 2.0, 5.0]
    assert metrics.wql(y, {0.5: forecast}) == pytest.approx(metrics.wape(y, forecast))


def test_the_width_of_intervals_is_relative_to_the_outcomes():
    assert metrics.interval_width([1.0, 3.0], [0.0, 2.0], [1.0, 3.0]) == pytest.approx(0.5)
