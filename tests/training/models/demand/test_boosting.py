"""Rounds of the boosting on rows of smooth and of noisy series."""

import numpy as np
import polars as pl
import pytest

from features.demand.grain import Grain
from training.models.demand.boosting import GlobalBoosting
from training.models.demand.model import TREES

ROUNDS = 20


def fitted(units, rows):
    boosting = GlobalBoosting(Grain.parse("product:week"), TREES, ROUNDS, 2, 0, 1)
    expected = np.full(rows.height, 100.0)
    boosters, fold = boosting.fit(
        rows.with_columns(units=pl.Series(units)), expected, np.ones(rows.height), 1.0
    )
    return boosters, fold


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    count = 6_000
    names = [f"trend_{name}" for name in "abcde"]
    features = {name: rng.normal(size=count) for name in names}
    return pl.DataFrame({"day": 7 * rng.integers(0, 60, count), **features})


def rounds(boosters):
    return [booster.native.best_iteration or booster.native.num_trees() for booster in boosters]


def test_smooth_series_get_more_rounds(rows):
    signal = np.sin(2 * rows["trend_a"]) + rows["trend_b"] * rows["trend_c"]
    boosters, _ = fitted(100 * np.exp(signal.to_numpy() / 2), rows)
    assert ROUNDS < rounds(boosters)[0] <= 3 * ROUNDS
    assert rounds(boosters)[1] == rounds(boosters)[0]


def test_noise_gets_no_further_rounds(rows):
    noise = np.random.default_rng(1).poisson(100, rows.height).astype(float)
    boosters, _ = fitted(noise, rows)
    assert max(rounds(boosters)) <= ROUNDS


def test_each_row_is_left_out_by_one_booster(rows):
    _, fold = fitted(np.full(rows.height, 100.0), rows)
    assert set(fold) == {0, 1}
