"""Columns with a known direction in inactivity."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from training.customers.cutoffs import customer_features
from training.customers.monotone_features import monotone_features, monotone_sign
from training.estimators.bg_nbd import ModifiedBgNbd

AS_OF = datetime(2017, 12, 4)


def test_signs_are_known_and_columns_complete(journey):
    features = customer_features(journey, AS_OF)
    columns, signs = monotone_features(features, ModifiedBgNbd(1, 10, 0.1, 1), 28)
    assert set(signs) == {1, -1}
    assert columns.null_count().sum_horizontal()[0] == 0
    names = ("recency", "visits_28", "gap_mean", "recency_over_gap_mean")
    assert [monotone_sign(name) for name in names] == [1, -1, 0, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 300), st.integers(2, 300))
def test_under_mbg_nbd_a_purchase_yesterday_never_raises_inactivity(x, span, inactive):
    process = ModifiedBgNbd(1.1, 12.0, 0.05, 1.2)
    t = span + inactive
    before = process.inactivity(x, span if x else 0, t, 28)
    after = process.inactivity(x + 1, t - 1, t, 28)
    assert after <= before
