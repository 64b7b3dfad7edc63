"""Bootstrap intervals of means."""

import numpy as np
import pytest

from training.metrics import bootstrap_interval


def test_the_interval_is_that_of_resampled_means():
    values = np.random.default_rng(1).normal(size=500)
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, 500, 500)].mean() for _ in range(1000)]
    expected = np.quantile(means, [0.025, 0.975])
    assert bootstrap_interval(values) == pytest.approx(expected, rel=1e-12)


def test_cases_without_a_value_are_left_out():
    values = np.array([1.0, np.nan, 2.0, 4.0])
    assert bootstrap_interval(values) == bootstrap_interval(values[[0, 2, 3]])


def test_the_interval_of_one_case_is_its_value():
    assert bootstrap_interval(np.array([3.0])) == (3.0, 3.0)


def test_there_is_no_interval_without_cases():
    assert np.isnan(bootstrap_interval(np.array([np.nan]))).all()
