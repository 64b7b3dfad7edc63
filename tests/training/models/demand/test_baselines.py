"""What each simple forecast says of a series that can be worked out by hand."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from features.dataset import Dataset
from training.models.demand.baselines import BASELINES

FIRST = 17_000


def forecast(name, sold, grain="product:week", horizon_days=14):
    """Forecast one series from its units by period, in the order of time."""
    length = 7 if grain.endswith("week") else 1
    rows = [("a", FIRST + length * k, float(units)) for k, units in enumerate(sold)]
    schema = {"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64}
    sales = pl.DataFrame(rows, schema=schema, orient="row").with_columns(location_id=pl.lit("1"))
    as_of = datetime(1970, 1, 1) + timedelta(days=FIRST + length * len(sold))
    method = BASELINES[name](grain=grain, horizon_days=horizon_days)
    dataset = Dataset.from_frames("one", {"sales": sales})
    return method.fit(dataset, as_of).predict(dataset, as_of)["mean"].to_list()


def test_naive_says_the_last_period_again():
    assert forecast("naive", [5, 1, 2, 9]) == [9, 9]


def test_seasonal_naive_says_the_last_week_again_where_days_have_a_week():
    week = [1, 2, 3, 4, 5, 6, 7]
    assert forecast("seasonal_naive", week * 8, "product:day", 14) == week + week


def test_seasonal_naive_says_the_last_period_again_where_nothing_comes_round():
    assert forecast("seasonal_naive", [3, 5] * 28, "product:day", 2) == [5, 5]


def test_seasonal_naive_says_last_years_weeks_again_where_the_year_comes_round():
    year = [50 + 40 * (week % 13) for week in range(52)]
    assert forecast("seasonal_naive", year * 2) == year[:2]


def test_the_recent_mean_is_of_eight_weeks():
    assert forecast("recent_mean", [100, 1, 1, 1, 1, 3, 3, 3, 3]) == [2, 2]


def test_the_recent_mean_is_of_28_days():
    assert forecast("recent_mean", [100] + [3] * 28, "product:day", 2) == [3, 3]


@pytest.mark.parametrize("name", ["ses", "tsb"])
def test_smoothing_keeps_what_is_steady(name):
    assert forecast(name, [4] * 20) == pytest.approx([4, 4], rel=1e-3)


def test_smoothing_for_demand_that_comes_and_goes_falls_when_nothing_sells():
    assert forecast("tsb", [4] * 12 + [0] * 6 + [1]) < forecast("tsb", [4] * 19)


@pytest.mark.parametrize("name", BASELINES)
def test_every_method_answers_for_a_series_that_has_only_begun(name):
    assert forecast(name, [3]) == pytest.approx([3, 3], rel=1)
