from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.models.bgnbd import BgNbd

CDNOW = Path(__file__).parent / "data" / "cdnow_sample_summary.csv"


@pytest.fixture(scope="module")
def cdnow():
    return pl.read_csv(CDNOW)


@pytest.fixture(scope="module")
def fitted(cdnow):
    return BgNbd.fit(cdnow["frequency"], cdnow["recency"], cdnow["T"])


def test_the_parameters_are_those_published_for_the_cdnow_sample(fitted):
    assert fitted.r == pytest.approx(0.243, abs=5e-4)
    assert fitted.alpha == pytest.approx(4.414, abs=5e-4)
    assert fitted.a == pytest.approx(0.793, abs=5e-4)
    assert fitted.b == pytest.approx(2.426, abs=5e-4)


def test_the_expected_purchases_are_those_published_for_the_first_customer(fitted):
    assert fitted.expected_purchases(2, 30.43, 38.86, 39) == pytest.approx(1.226, abs=1e-3)


def test_who_came_once_is_alive_for_certain_under_this_model(fitted):
    assert fitted.alive(0, 0, 30) == 1


def test_parameters_are_found_again_in_customers_drawn_from_them():
    rng = np.random.default_rng(5)
    r, alpha, a, b, n, weeks = 0.8, 3.0, 0.8, 2.5, 6000, 60.0
    rate, quits = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n)
    rows = []
    for speed, quit_chance in zip(rate, quits, strict=True):
        at, count, last = 0.0, 0, 0.0
        while (at := at + rng.exponential(1 / speed)) <= weeks:
            count, last = count + 1, at
            if rng.random() < quit_chance:
                break
        rows.append((count, last, weeks))
    found = BgNbd.fit(*np.array(rows).T)
    assert found.r / found.alpha == pytest.approx(r / alpha, rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(a / (a + b), rel=0.1)


customers = st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(1, 400))


@settings(max_examples=50, deadline=None)
@given(customers, st.floats(0.1, 200), st.floats(0.1, 200))
def test_longer_silence_ahead_is_never_likelier(one, shorter, more):
    frequency, share, age = one
    model = BgNbd(0.243, 4.414, 0.793, 2.426)
    first, second = model.silence(
        frequency, share * age if frequency else 0, age, [shorter, shorter + more]
    )
    assert 0 <= second <= first <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.floats(1, 200), st.floats(1, 200))
def test_the_longer_ago_the_last_purchase_the_less_alive(frequency, recency, more):
    model = BgNbd(0.243, 4.414, 0.793, 2.426)
    soon, late = model.alive(frequency, recency, [recency + 1, recency + 1 + more])
    assert late <= soon
