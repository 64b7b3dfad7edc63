"""Metrics of probabilities, against values computed by hand."""

import numpy as np
import pytest

from training import metrics


def test_a_calibrated_probability_has_no_calibration_error():
    y = np.tile([0, 1], 500)
    assert metrics.ece(y, np.full(1000, 0.5)) == pytest.approx(0)


def test_lift_of_a_perfect_order_is_the_inverse_of_the_rate():
    y = np.array([1] * 10 + [0] * 90)
    assert metrics.lift(y, y) == pytest.approx(10)
