"""Classical forecasts of single series on series with a known course."""

import numpy as np
import pytest

from features.demand import statistical_forecasts
from features.demand.statistical_forecasts import (
    MEMBERS,
    DampedSmoothing,
    History,
    SeasonalNaive,
    YearNaive,
    register_member,
)
from features.errors import InvalidInput

WEEKDAYS = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 0.0])


def weeks(units):
    return History(np.atleast_2d(np.asarray(units, dtype=float)), 7)


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_a_constant_series_is_continued(member):
    forecast = member.forecast(weeks(np.full((2, 108), 5.0)), 60)
    assert forecast == pytest.approx(np.full((2, 60), 5.0))


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_missing_weeks_are_no_zeros(member):
    units = np.full(108, 5.0)
    units[[50, 51, 52, 90, 91]] = np.nan
    forecast = member.forecast(weeks(units), 13)
    assert forecast[~np.isnan(forecast)] == pytest.approx(5.0)


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_weekdays_keep_their_shares(member):
    history = History(np.tile(10 * WEEKDAYS, (1, 70)), 1)
    assert member.forecast(history, 9)[0] == pytest.approx(10 * WEEKDAYS[np.arange(9) % 7], abs=1.6)


def test_the_year_naive_repeats_the_season_at_the_root_of_the_growth():
    season = 1000 + 500 * np.sin(np.arange(52) / 52 * 2 * np.pi)
    forecast = YearNaive().forecast(weeks(np.concatenate([season, 4 * season])), 52)
    assert forecast[0] == pytest.approx(4 * season * 2, rel=0.01)


def test_the_year_naive_has_no_forecast_without_a_second_year():
    assert np.isnan(YearNaive().forecast(weeks(np.ones(59)), 3)).all()


def test_smoothing_follows_a_step_and_its_trend_fades():
    level = np.concatenate([np.full(52, 10.0), np.full(26, 30.0)])
    forecast = DampedSmoothing().forecast(weeks(level), 100)[0]
    assert forecast == pytest.approx(30, rel=0.1)
    trend = DampedSmoothing().forecast(weeks(np.arange(1.0, 105.0)), 60)[0]
    assert trend[0] > 100
    assert trend[59] - trend[58] < 0.1 * (trend[1] - trend[0])


def test_the_seasonal_naive_of_weeks_is_the_last_week():
    assert (SeasonalNaive().forecast(weeks([1.0, 2.0, 7.0]), 2) == 7.0).all()


def test_the_name_of_a_member_is_unique(monkeypatch):
    monkeypatch.setattr(statistical_forecasts, "MEMBERS", dict(MEMBERS))
    register_member("mine", SeasonalNaive())
    with pytest.raises(InvalidInput, match="'mine' is taken"):
        register_member("mine", SeasonalNaive())
