"""BG/NBD and MBG/NBD, against published values and simulated customers."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import hyp2f1

from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, negative_log_likelihood

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


def test_customers_with_one_purchase_are_alive_with_certainty_under_bg_nbd(fitted):
    assert fitted.alive(0, 0, 30) == 1


def simulate(kind, customers, weeks, further_weeks=0.0):
    """Return frequency, recency and age of simulated customers, and their later purchases."""
    rng = np.random.default_rng(5)
    rows = []
    rate = rng.gamma(kind.r, 1 / kind.alpha, customers)
    dropouts = rng.beta(kind.a, kind.b, customers)
    for speed, dropout in zip(rate, dropouts, strict=True):
        now, count, last, later = 0.0, 0, 0.0, 0
        inactive = kind.EXTRA_DROPOUTS == 1 and rng.random() < dropout
        while not inactive and (now := now + rng.exponential(1 / speed)) <= weeks + further_weeks:
            if now <= weeks:
                count, last = count + 1, now
            else:
                later += 1
            inactive = rng.random() < dropout
        rows.append((count, last, weeks, later))
    return np.array(rows).T


@pytest.mark.parametrize("kind", [BgNbd, ModifiedBgNbd])
def test_parameters_are_recovered_from_simulated_customers(kind):
    true = kind(0.8, 3.0, 0.8, 2.5)
    *summary, _ = simulate(true, 6000, 60.0)
    fitted = kind.fit(*summary)
    assert fitted.r / fitted.alpha == pytest.approx(true.r / true.alpha, rel=0.1)
    share = true.a / (true.a + true.b)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize("kind", [BgNbd, ModifiedBgNbd])
def test_expected_purchases_and_inactivity_match_simulated_ones(kind):
    true = kind(0.8, 3.0, 0.8, 2.5)
    *summary, later = simulate(true, 6000, 60.0, further_weeks=30.0)
    expected = true.expected_purchases(*summary, 30.0)
    assert expected.mean() == pytest.approx(later.mean(), rel=0.04)
    assert true.inactivity(*summary, 30.0).mean() == pytest.approx((later == 0).mean(), rel=0.02)
    often = summary[0] >= 10
    assert expected[often].mean() == pytest.approx(later[often].mean(), rel=0.06)


@pytest.mark.parametrize("extra_dropouts", [0, 1])
@pytest.mark.parametrize("logs", [[0.0, -0.7, 0.0, 0.7], [1.0, 1.5, -3.0, 2.0]])
def test_the_gradient_is_that_of_finite_differences(cdnow, extra_dropouts, logs):
    x, t_x, t = (cdnow[name].to_numpy().astype(float) for name in ("frequency", "recency", "T"))
    weight = np.full(len(x), 1 / len(x))
    error = check_grad(
        lambda point: negative_log_likelihood(point, x, t_x, t, weight, extra_dropouts)[0],
        lambda point: negative_log_likelihood(point, x, t_x, t, weight, extra_dropouts)[1],
        np.array(logs),
    )
    assert error < 1e-6


@pytest.mark.parametrize("parameters", [(0.243, 4.414, 0.793, 2.426), (1.5, 8.0, 0.01, 0.5)])
def test_expected_purchases_are_the_published_hypergeometric_ones(parameters):
    r, alpha, a, b = parameters
    x, t = np.array([1.0, 3.0, 10.0]), np.array([100.0, 20.0, 300.0])
    ratio = (alpha + t) / (alpha + t + 90)
    gauss = hyp2f1(r + x, b + x, a + b + x - 1, 90 / (alpha + t + 90))
    published = (a + b + x - 1) / (a - 1) * (1 - ratio ** (r + x) * gauss)
    model = BgNbd(*parameters)
    computed = model.expected_purchases(x, t, t, 90) / model.alive(x, t, t)
    np.testing.assert_allclose(computed, published, rtol=1e-6)


def test_expected_purchases_of_very_frequent_buyers_are_finite():
    model = BgNbd(2.0, 10.0, 1.0, 300.0)
    assert model.expected_purchases(900, 365, 365, 365) == pytest.approx(900 / 375 * 365, rel=0.8)


def test_customers_with_one_purchase_may_be_inactive_under_mbg_nbd(cdnow):
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
def test_longer_inactivity_is_never_more_probable(customer, shorter, more):
    frequency, share, age = customer
    model = BgNbd(0.243, 4.414, 0.793, 2.426)
    first, second = model.inactivity(
        frequency, share * age if frequency else 0, age, [shorter, shorter + more]
    )
    assert 0 <= second <= first <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.floats(1, 200), st.floats(1, 200))
def test_alive_falls_with_time_since_the_last_purchase(frequency, recency, more):
    model = BgNbd(0.243, 4.414, 0.793, 2.426)
    soon, late = model.alive(frequency, recency, [recency + 1, recency + 1 + more])
    assert late <= soon


PARAMETERS = st.floats(0.05, 3.0)


@given(
    st.tuples(PARAMETERS, st.floats(1.0, 100.0), PARAMETERS, PARAMETERS),
    st.integers(0, 20),
    st.integers(0, 300),
    st.integers(2, 300),
    st.sampled_from([1, 28, 364]),
)
def test_a_purchase_yesterday_never_raises_monotone_inactivity(
    parameters, x, active, silent, ahead
):
    model, age = BgNbd(*parameters), active + silent
    before = model.monotone_inactivity(x, active if x else 0, age, ahead)
    after = model.monotone_inactivity(x + 1, age - 1, age, ahead)
    longer = model.monotone_inactivity(x, active if x else 0, age + 1, ahead)
    further = model.monotone_inactivity(x, active if x else 0, age, ahead + 1)
    assert after <= before + 1e-12
    assert longer >= before - 1e-12
    assert further <= before + 1e-12
