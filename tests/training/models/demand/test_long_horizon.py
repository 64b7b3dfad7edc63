"""Forecasts a year ahead: from fit to the published folder, and records that are too short."""

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from training.models.demand.model import DemandModel
from training.models.demand.publish import load_about, load_series, load_values, publish
from training.models.demand.task import DEMAND
from training.task_setup import set_up

YEAR_DAYS = 364


def shop(weeks: int) -> Dataset:
    """Sales of twelve products by week, with a yearly season."""
    week, generator = np.arange(weeks), np.random.default_rng(6)
    season = 1 + 0.5 * np.sin(2 * np.pi * week / 52)
    rows = [
        (f"tea {n:02}", to_day("2019-01-07") + 7 * int(w), float(units))
        for n in range(12)
        for w, units in zip(week, generator.poisson((40 + n) * season), strict=True)
    ]
    frame = pl.DataFrame(rows, ["product_id", "day", "quantity"], orient="row")
    return Dataset.from_frames("shop", {"sales": frame.cast({"day": pl.Int32})})


def test_a_year_ahead_is_forecast_and_published(tmp_path):
    dataset = shop(106)
    model = DemandModel("product:week", YEAR_DAYS, rounds=25, members=2)
    model.fit(dataset, dataset.end)
    forecasts = model.predict(dataset, dataset.end)
    by_week = forecasts.group_by("date").agg(pl.col("mean").sum()).sort("date")["mean"].to_numpy()
    assert len(by_week) == 52
    season = 1 + 0.5 * np.sin(2 * np.pi * np.arange(106, 158) / 52)
    assert np.corrcoef(by_week, season)[0, 1] > 0.9
    publish(model, dataset, dataset.end, tmp_path)
    assert len(load_about(tmp_path).dates) == 52
    values = load_values(tmp_path)
    assert values.shape[:2] == (load_series(tmp_path).height, 52)
    assert values[:, :, 0].sum() == pytest.approx(forecasts["mean"].sum())


def test_records_that_never_reach_so_far_ahead_are_refused():
    dataset = shop(59)
    with pytest.raises(MissingData, match=r"364 days ahead needs 420 days .* shorter horizon") as e:
        set_up(DEMAND, dataset, dataset.end, folds=1, horizon_days=YEAR_DAYS)
    assert e.value.field == "horizon"
    longer = shop(60)
    assert set_up(DEMAND, longer, longer.end, folds=1, horizon_days=YEAR_DAYS).folds == 0
