import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import metrics


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 100), min_size=3, max_size=40, unique=True))
def test_gini_is_one_for_the_right_order_and_less_for_any_other(spent):
    y = np.array(spent)
    assert metrics.normalised_gini(y, 3 * y) == pytest.approx(1)
    assert metrics.normalised_gini(y, -y) == pytest.approx(-1)


def test_decile_error_measures_a_bias_of_the_top_decile():
    y = np.arange(1.0, 101.0)
    assert metrics.decile_error(y, y) == 0
    too_high = np.where(y > 90, 1.1 * y, y)
    assert metrics.decile_error(y, too_high) == pytest.approx(0.1 * y[90:].sum() / y.sum())
