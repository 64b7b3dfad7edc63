import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import hyp2f1

from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, loss

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


def drawn(kind, customers, weeks, further_weeks=0.0):
    """Frequency, recency and age of customers drawn from a process, and purchases thereafter."""
    rng = np.random.default_rng(5)
    rows = []
    rate = rng.gamma(kind.r, 1 / kind.alpha, customers)
    quits = rng.beta(kind.a, kind.b, customers)
    for speed, quit_chance in zip(rate, quits, strict=True):
        at, count, last, later = 0.0, 0, 0.0, 0
        left = kind.FIRST == 1 and rng.random() < quit_chance
        while not left and (at := at + rng.exponential(1 / speed)) <= weeks + further_weeks:
            if at <= weeks:
                count, last = count + 1, at
            else:
                later += 1
            left = rng.random() < quit_chance
        rows.append((count, last, weeks, later))
    return np.array(rows).T


@pytest.mark.parametrize("kind", [BgNbd, ModifiedBgNbd])
def test_parameters_are_found_again_in_customers_drawn_from_them(kind):
    true = kind(0.8, 3.0, 0.8, 2.5)
    *summary, _ = drawn(true, 6000, 60.0)
    found = kind.fit(*summary)
    assert found.r / found.alpha == pytest.approx(true.r / true.alpha, rel=0.1)
    share = true.a / (true.a + true.b)
    assert found.a / (found.a + found.b) == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize("kind", [BgNbd, ModifiedBgNbd])
def test_what_is_expected_is_what_comes(kind):
    true = kind(0.8, 3.0, 0.8, 2.5)
    *summary, later = drawn(true, 6000, 60.0, further_weeks=30.0)
    expected = true.expected_purchases(*summary, 30.0)
    assert expected.mean() == pytest.approx(later.mean(), rel=0.04)
    assert true.silence(*summary, 30.0).mean() == pytest.approx((later == 0).mean(), rel=0.02)
    often = summary[0] >= 10
    assert expected[often].mean() == pytest.approx(later[often].mean(), rel=0.06)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("logs", [[0.0, -0.7, 0.0, 0.7], [1.0, 1.5, -3.0, 2.0]])
def test_the_gradient_is_that_of_finite_differences(cdnow, first, logs):
    x, t_x, t = (cdnow[name].to_numpy().astype(float) for name in ("frequency", "recency", "T"))
    weight = np.full(len(x), 1 / len(x))
    off = check_grad(
        lambda at: loss(at, x, t_x, t, weight, first)[0],
        lambda at: loss(at, x, t_x, t, weight, first)[1],
        np.array(logs),
    )
    assert off < 1e-6


@pytest.mark.parametrize("parameters", [(0.243, 4.414, 0.793, 2.426), (1.5, 8.0, 0.01, 0.5)])
def test_expected_purchases_are_the_published_hypergeometric_ones(parameters):
    r, alpha, a, b = parameters
    x, t = np.array([1.0, 3.0, 10.0]), np.array([100.0, 20.0, 300.0])
    ratio = (alpha + t) / (alpha + t + 90)
    gauss = hyp2f1(r + x, b + x, a + b + x - 1, 90 / (alpha + t + 90))
    published = (a + b + x - 1) / (a - 1) * (1 - ratio ** (r + x) * gauss)
    model = BgNbd(*parameters)
    found = model.expected_purchases(x, t, t, 90) / model.alive(x, t, t)
    np.testing.assert_allclose(found, published, rtol=1e-6)


def test_expected_purchases_of_very_frequent_buyers_are_finite():
    model = BgNbd(2.0, 10.0, 1.0, 300.0)
    assert model.expected_purchases(900, 365, 365, 365) == pytest.approx(900 / 375 * 365, rel=0.8)


def test_one_time_buyers_may_have_left_under_the_modified_process(cdnow):
    modified = ModifiedBgNbd.fit(cdnow["frequency"], cdnow["recency"], cdnow["T"])
    soon, late = modified.alive(0, 0, [1, 30])
    assert late < soon < 1


def test_a_hundred_thousand_customers_are_fitted_in_seconds():
    rng = np.random.default_rng(1)
    age = rng.uniform(1, 365, 100_000)
    frequency = rng.poisson(rng.gamma(1.2, 1 / 20, 100_000) * age)
    recency = np.where(frequency > 0, age * rng.uniform(0.3, 1, 100_000), 0)
    started = time.process_time()
    BgNbd.fit(frequency, recency, age)
    assert time.process_time() - started < 20


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
