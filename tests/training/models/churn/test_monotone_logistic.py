import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.models.churn.monotone_logistic import MonotoneLogit


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_log_odds_are_monotone_in_each_column_times_its_sign(seed):
    rng = np.random.default_rng(seed)
    columns = rng.gamma(1.0, 5.0, (400, 3))
    signs = np.array([1.0, -1.0, 1.0])
    label = (rng.random(400) < 0.3).astype(float)
    logit = MonotoneLogit.fit(columns, signs, label)
    for k, sign in enumerate(signs):
        more = columns.copy()
        more[:, k] += 1.5
        assert (sign * (logit.log_odds(more) - logit.log_odds(columns)) >= -1e-12).all()
    assert (
        MonotoneLogit.from_json(logit.to_json()).log_odds(columns).tolist()
        == logit.log_odds(columns).tolist()
    )
