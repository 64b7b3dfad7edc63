"""Metrics of times to an event, against values computed by hand."""

import numpy as np

from training import metrics


def test_integrated_brier_of_a_perfect_curve_is_zero():
    grid = np.arange(1.0, 6.0)
    times = np.array([2.5, 5.0])
    observed = np.array([1.0, 0.0])
    survival = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=float)
    assert metrics.integrated_brier(times, observed, survival, grid) == 0
