import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.customers.survival import curves_from_hazards, kaplan_meier


@settings(deadline=None)
@given(st.floats(0.001, 0.5))
def test_a_constant_daily_hazard_gives_the_geometric_distribution(daily):
    edges = np.array([*range(14), *range(14, 28, 2), *range(28, 57, 4)])
    widths = np.diff(edges)
    curve = curves_from_hazards((1 - (1 - daily) ** widths)[None, :], edges)[0]
    np.testing.assert_allclose(curve, 1 - (1 - daily) ** np.arange(1, 57), atol=1e-8)


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
