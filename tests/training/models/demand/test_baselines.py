"""Forecasts of the baselines on series small enough to check by hand."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from features.dataset import Dataset
from training.models.demand.baselines import BASELINES

FIRST = 17_000


def forecast(name, sold, grain="product:week", horizon_days=14):
    """Forecast one series from its units by period, oldest first."""
    length = 7 if grain.endswith("week") else 1
    rows = [("a", FIRST + length * k, float(units)) for k, units in enumerate(sold)]
    schema = {"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64}
    sales = pl.DataFrame(rows, schema=schema, orient="row").with_columns(location_id=pl.lit("1"))
    as_of = datetime(1970, 1, 1) + timedelta(days=FIRST + length * len(sold))
    baseline = BASELINES[name](grain=grain, horizon_days=horizon_days)
    dataset = Dataset.from_frames("single", {"sales": sales})
    return baseline.fit(dataset, as_of).predict(dataset, as_of)["mean"].to_list()


def test_naive_repeats_the_last_period():
    assert forecast("naive", [5, 1, 2, 9]) == [9, 9]


def test_seasonal_naive_repeats_the_last_week_of_daily_series_with_a_weekly_season():
    week = [1, 2, 3, 4, 5, 6, 7]
    assert forecast("seasonal_naive", week * 8, "product:day", 14) == week + week


def test_seasonal_naive_repeats_the_last_period_where_there_is_no_season():
    assert forecast("seasonal_naive", [3, 5] * 28, "product:day", 2) == [5, 5]


def test_seasonal_naive_repeats_last_years_weeks_where_there_is_a_yearly_season():
    year = [50 + 40 * (week % 13) for week in range(52)]
    assert forecast("seasonal_naive", year * 2) == year[:2]


def test_the_recent_mean_is_of_8_weeks():
    assert forecast("recent_mean", [100, 1, 1, 1, 1, 3, 3, 3, 3]) == [2, 2]


def test_the_recent_mean_is_of_28_days():
    assert forecast("recent_mean", [100] + [3] * 28, "product:day", 2) == [3, 3]


@pytest.mark.parametrize("name", ["ses", "tsb"])
def test_smoothing_keeps_a_constant_level(name):
    assert forecast(name, [4] * 20) == pytest.approx([4, 4], rel=1e-3)


def test_smoothing_of_intermittent_demand_falls_after_periods_without_sales():
    assert forecast("tsb", [4] * 12 + [0] * 6 + [1]) < forecast("tsb", [4] * 19)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_forecasts_a_series_of_one_period(name):
    assert forecast(name, [3]) == pytest.approx([3, 3], rel=1)
