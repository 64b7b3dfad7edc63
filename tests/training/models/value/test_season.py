"""Seasons of generated shops: two years of a known season, and none."""

from copy import copy
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.models.value.model import ValueModel
from training.models.value.season import Season, Seasons

# November and December bring three times the orders, a third larger.
PEAK = range(304, 365)
AS_OF = datetime(2024, 10, 1)


def shop(seed=1, customers=200, peak=3.0):
    """Return a shop of three and a quarter years whose customers keep their rates."""
    rng = np.random.default_rng(seed)
    first, days = to_day("2022-01-01"), 1186
    in_peak = np.isin(np.arange(days) % 365, PEAK)
    rate = rng.gamma(2.0, 0.02, customers)[:, None] * np.where(in_peak, peak, 1.0)
    customer, day = np.nonzero(rng.random((customers, days)) < 1 - np.exp(-rate))
    larger = np.where(in_peak[day] & (peak > 1), 4 / 3, 1.0)
    orders = pl.DataFrame(
        {
            "customer_id": customer.astype(str),
            "order_id": np.arange(len(day)).astype(str),
            "day": (first + day).astype(np.int32),
            "revenue": rng.gamma(10, 3, len(day)) * larger,
        }
    )
    ts = pl.from_epoch("day", time_unit="d").cast(pl.Datetime("us"))
    return Dataset.from_frames("shop", {"orders": orders.with_columns(ts=ts)})


def over_actual(dataset, answers, as_of, days):
    """Return predicted over actual orders and spend of the customers known at `as_of`."""
    ids = answers["customer_id"]
    past = (
        dataset.table("orders")
        .to_native()
        .filter(pl.col("ts").is_between(as_of, as_of + timedelta(days=days), closed="left"))
    )
    bought = past.filter(pl.col("customer_id").is_in(ids.implode())).collect()
    spent = bought["revenue"].sum()
    visits = bought.select("customer_id", "day").unique().height
    return answers[f"orders_{days}"].sum() / visits, answers[f"value_{days}"].sum() / spent


@pytest.fixture(scope="module")
def seasonal():
    return shop()


@pytest.fixture(scope="module")
def model(seasonal):
    return ValueModel(rounds=40).fit(seasonal, AS_OF)


def without_seasons(model):
    plain = copy(model)
    plain.seasons_ = Seasons()
    return plain


def test_the_quarter_with_the_peak_is_predicted_at_its_level(seasonal, model):
    for ratio in over_actual(seasonal, model.predict(seasonal, AS_OF), AS_OF, 90):
        assert ratio == pytest.approx(1, abs=0.1)
    plain = without_seasons(model).predict(seasonal, AS_OF)
    assert max(over_actual(seasonal, plain, AS_OF, 90)) < 0.6


def test_the_quarter_after_the_peak_is_predicted_at_its_level(seasonal):
    as_of = datetime(2024, 12, 31)
    model = ValueModel(rounds=40).fit(seasonal, as_of)
    for ratio in over_actual(seasonal, model.predict(seasonal, as_of), as_of, 90):
        assert ratio == pytest.approx(1, abs=0.12)
    plain = without_seasons(model).predict(seasonal, as_of)
    assert min(over_actual(seasonal, plain, as_of, 90)) > 1.3


def test_records_after_as_of_do_not_change_the_season(seasonal, model):
    known = seasonal.table("orders").to_native().filter(pl.col("ts") < AS_OF).collect()
    truncated = Dataset.from_frames("known", {"orders": known})
    other = ValueModel(rounds=40).fit(truncated, AS_OF)
    assert other.seasons_ == model.seasons_ != Seasons()


def test_no_day_further_ahead_brings_less_in_a_season(seasonal, model):
    days = [1, 14, 29, 30, 31, 60, 61, 91, 182, 200, 365, 500]
    features = model.features(seasonal, AS_OF)
    for rows in (model.predict_from(features, AS_OF, days), model.predict_new(["x"], AS_OF, days)):
        for name in ("orders_{}", "value_{}", "value_{}_q10", "value_{}_q90"):
            values = rows.select(name.format(day) for day in days).to_numpy()
            assert (np.diff(values, axis=1) >= -1e-9 * values[:, 1:]).all()


def test_the_season_is_kept_with_the_model(seasonal, model, tmp_path):
    model.save(tmp_path)
    loaded = ValueModel.load(tmp_path)
    assert loaded.seasons_ == model.seasons_
    assert loaded.predict(seasonal, AS_OF).equals(model.predict(seasonal, AS_OF))


def test_a_shop_without_a_season_is_at_its_level():
    dataset = shop(peak=1.0)
    model = ValueModel(rounds=40).fit(dataset, AS_OF)
    for days in (28, 90):
        for ratio in over_actual(dataset, model.predict(dataset, AS_OF), AS_OF, days):
            assert ratio == pytest.approx(1, abs=0.15)


def test_differences_within_noise_are_no_season():
    rng = np.random.default_rng(1)
    rates = rng.gamma(2, 0.02, 1000)
    ordered = rng.poisson(rates[:, None], (1000, 364)).cumsum(axis=1).astype(float)
    season = Season.fit(lambda days: ordered[:, days - 1], lambda days: rates * days, 364)
    assert season.factors == (1.0,) * 7
    assert season.later == 1.0


def test_a_season_is_worse_where_it_moves_a_right_total_away():
    season = Season((28,), (2.0,))
    observed = np.random.default_rng(2).poisson(1.0, 500).astype(float)
    assert season.is_worse(observed, lambda days: np.full(500, days / 28), 28)
    assert not season.is_worse(2 * observed, lambda days: np.full(500, days / 28), 28)
