"""Weights of the demand ensemble on generated forecasts and on a generated shop."""

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from features.demand import statistical_forecasts
from features.demand.statistical_forecasts import MEMBERS, History
from features.errors import InvalidInput
from training.backtest import backtest
from training.models.demand.ensemble import GLOBAL, EnsembleWeights
from training.models.demand.model import DemandModel
from training.models.demand.task import DEMAND

WEEKS, SERIES = 52, 60


def rows(weeks=WEEKS, seed=0):
    """Return rows whose outcome one member knows, and the global model's noisy forecasts."""
    rng = np.random.default_rng(seed)
    week, _ = np.indices((weeks, SERIES))
    truth = 50 * np.exp(rng.normal(0, 0.4, week.shape)).ravel()
    frame = pl.DataFrame(
        {
            "day": 7 * week.ravel(),
            "step": week.ravel() % 8,
            "level_now": rng.uniform(10, 100, truth.size),
            "units": truth,
            "member_perfect": truth,
            "member_noise": truth * np.exp(rng.normal(0, 0.8, truth.size)),
        }
    )
    return frame, truth * np.exp(rng.normal(0, 0.4, truth.size))


def test_weights_are_not_negative_and_sum_to_one():
    frame, forecast = rows()
    weights = EnsembleWeights.fit(frame, forecast, forecast, 7).weights
    assert (weights >= 0).all()
    assert weights.sum(axis=2) == pytest.approx(1.0)


def test_a_perfect_member_gets_nearly_all_weight():
    frame, forecast = rows()
    fitted = EnsembleWeights.fit(frame, forecast, forecast, 7)
    assert fitted.members == (GLOBAL, "perfect", "noise")
    assert (fitted.weights[:, :, 1] > 0.9).all()


def test_few_weeks_shrink_weights_to_the_global_model():
    means = []
    for weeks in (WEEKS, 8, 1):
        frame, forecast = rows(weeks)
        frame = pl.concat([frame] * (WEEKS // weeks))  # as many rows of fewer weeks
        forecast = np.tile(forecast, WEEKS // weeks)
        means.append(EnsembleWeights.fit(frame, forecast, forecast, 7).weights[:, :, 0].mean())
    assert means[0] < means[1] < means[2]
    assert means[2] > 0.7


def test_a_member_without_forecasts_gives_its_weight_to_the_global_model():
    frame, forecast = rows()
    fitted = EnsembleWeights.fit(frame, forecast, forecast, 7)
    unknown = frame.with_columns(member_perfect=np.nan, member_noise=np.nan)
    assert fitted.factor(unknown, forecast, 7) == pytest.approx(1.0)


def test_a_member_that_is_no_longer_registered_is_named():
    frame, forecast = rows()
    fitted = EnsembleWeights.fit(frame, forecast, forecast, 7)
    with pytest.raises(InvalidInput, match="'perfect' has weight"):
        fitted.factor(frame.drop("member_perfect"), forecast, 7)


class LastMean:
    """A user's member: the mean of the last four weeks."""

    def forecast(self, history: History, steps: int):
        return np.repeat(history.units[:, -4:].mean(axis=1, keepdims=True), steps, axis=1)


@pytest.fixture(scope="module")
def season_shop(mailer_shop):
    """Return two years and a half of smooth weekly sales that repeat each year."""
    weeks = np.arange(130)
    products = 40
    rng = np.random.default_rng(3)
    phase, level = rng.uniform(0, 2 * np.pi, products), rng.uniform(50, 500, products)
    rate = level[:, None] * np.exp(0.8 * np.sin(2 * np.pi * weeks / 52 + phase[:, None]))
    product, week = np.indices(rate.shape)
    return pl.DataFrame(
        {
            "product_id": [f"p{i:02d}" for i in product.ravel()],
            "location_id": "1",
            "day": (mailer_shop.first_day + 7 * week.ravel()).astype(np.int32),
            "quantity": rng.poisson(rate).ravel().astype(float),
        }
    )


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(statistical_forecasts, "MEMBERS", {**MEMBERS, "last_mean": LastMean()})


def fitted(sales, first_day, shop):
    dataset = Dataset.from_frames("season", {"sales": sales})
    return shop.unfitted(horizon_days=91).fit(dataset, shop.as_of.fromordinal(719_163 + first_day))


def test_a_users_member_takes_part(registered, season_shop, mailer_shop):
    model = fitted(season_shop, mailer_shop.first_day + 7 * 110, mailer_shop)
    assert "last_mean" in model.weights_.members
    assert all("last_mean" in row for row in model.weights_.describe())


def test_later_sales_do_not_change_the_weights(season_shop, mailer_shop, tmp_path):
    day = mailer_shop.first_day + 7 * 110
    model = fitted(season_shop, day, mailer_shop)
    known = fitted(season_shop.filter(pl.col("day") < day), day, mailer_shop)
    assert not model.weights_.trivial
    assert (model.weights_.weights == known.weights_.weights).all()
    model.save(tmp_path)
    assert (DemandModel.load(tmp_path).weights_.weights == model.weights_.weights).all()


def test_a_backtest_reports_weights_that_sum_to_one_by_segment(mailer_shop):
    shop = mailer_shop
    report = backtest(
        DEMAND, shop.dataset, [shop.as_of], shop.options, params=shop.small, baselines=["naive"]
    )
    weights = report.weights()
    assert all(name.endswith("days_ahead_from=0") for name in weights)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert report.mean("wql") is not None
