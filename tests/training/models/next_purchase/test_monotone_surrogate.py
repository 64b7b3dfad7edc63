import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.models.next_purchase.monotone_surrogate import rescale_curves


@given(st.lists(st.floats(0.001, 0.5), min_size=5, max_size=5), st.floats(-4, 4))
def test_a_rescaled_curve_has_the_given_odds_and_keeps_the_later_hazard(hazard, odds):
    curve = 1 - np.cumprod(1 - np.array(hazard))[None, :]
    rescaled = rescale_curves(curve, 3, np.array([odds]))[0]
    assert 1 - rescaled[2] == pytest.approx(1 / (1 + np.exp(-odds)))
    assert (np.diff(rescaled) >= 0).all()
    later = (1 - rescaled[4]) / (1 - rescaled[2])
    assert later == pytest.approx((1 - curve[0, 4]) / (1 - curve[0, 2]))
