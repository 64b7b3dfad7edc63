"""Forecasts of single series by classical methods: the past of series in, their future out.

Each method is vectorised over all series and reads nothing but their own past. The demand model
averages them with its own forecast where a backtest shows that this helps
(`training.models.demand.ensemble`). `register_member` adds a further method.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from features.errors import InvalidInput
from features.typing import Floats, Ints

# Prefix of the columns that hold the members' forecasts in the table of features.
PREFIX = "member_"
YEAR_DAYS = 364
# Days whose sales are compared with those of a year before: the growth of a series.
_GROWTH_DAYS = 56
# Units added to both sides of a growth, which shrink it towards none.
_GROWTH_UNITS = 5.0
# Weights of the newest week among which each series' level chooses, and that of the trend.
_ALPHAS = (0.05, 0.1, 0.2, 0.35, 0.6)
_TREND_SHARE = 0.1
_DAMPING = 0.9
# Weeks of past that exponential smoothing reads, and those that start it.
_WEEKS, _START_WEEKS = 52, 4
# Weeks of the weekday factors, and units by which they are shrunk towards one.
_WEEKDAY_WEEKS, _WEEKDAY_UNITS = 8, 7.0


@dataclass(frozen=True)
class History:
    """The past of some series before a forecast origin.

    Attributes
    ----------
    units
        Units per period, shape (series, periods), newest last; NaN where no sale could be
        observed: before the first sale, out of stock, closed.
    period_days
        Days of a period: 1, 7 or, for months, 30.
    """

    units: Floats
    period_days: int


class Member(Protocol):
    """A method that forecasts series from their own past."""

    def forecast(self, history: History, steps: int) -> Floats:
        """Fit on the past and forecast.

        Returns
        -------
        numpy.ndarray
            Units of shape (series, steps), not negative; NaN where the method has no forecast,
            for example for lack of a second year. Its weight goes to the other members then.
        """
        ...


class SeasonalNaive:
    """The last week or month; the same weekday's mean of four weeks at daily grain."""

    def forecast(self, history: History, steps: int) -> Floats:
        """Repeat the last season."""
        if history.period_days > 1:
            return np.repeat(history.units[:, -1:], steps, axis=1)
        weeks = _by_week(history.units, 4)
        if not weeks.shape[1]:
            return np.full((len(history.units), steps), np.nan)
        return _mean(weeks)[:, np.arange(steps) % 7]


class YearNaive:
    """The value of the same period a year before, times the square root of the series' growth.

    The growth of the last eight weeks over the same weeks of the year before is damped by the
    root, because growth partly reverts. Horizons beyond a year read the year before once more.
    """

    def forecast(self, history: History, steps: int) -> Floats:
        """Repeat last year's values at a damped growth."""
        year, recent = YEAR_DAYS // history.period_days, _GROWTH_DAYS // history.period_days
        periods = history.units.shape[1]
        if periods < year + recent:
            return np.full((len(history.units), steps), np.nan)
        now, then = history.units[:, -recent:], history.units[:, -year - recent : periods - year]
        both = ~np.isnan(now) & ~np.isnan(then)
        sums = [np.where(both, part, 0.0).sum(axis=1) + _GROWTH_UNITS for part in (now, then)]
        growth = np.sqrt(np.where(both.any(axis=1), sums[0] / sums[1], np.nan))
        repeated: Floats = history.units[:, periods - year + np.arange(steps) % year]
        return repeated * growth[:, None]


class DampedSmoothing:
    """Exponential smoothing of weekly sales with a damped trend, times factors of weekdays.

    The weight of the newest week is chosen by series among a few, by squared errors one week
    ahead. Source: Holt's method with a damped trend (Gardner and McKenzie 1985), in the recursive
    form of Hyndman and Athanasopoulos (2021, section 8.2).
    """

    def forecast(self, history: History, steps: int) -> Floats:
        """Smooth weeks, extrapolate the damped trend and divide weeks into days."""
        length = max(7 // history.period_days, 1)
        by_day = _by_week(history.units, _WEEKS) if length > 1 else history.units[:, -_WEEKS:, None]
        if by_day.shape[1] < _START_WEEKS:
            return np.full((len(history.units), steps), np.nan)
        weekly = _mean(np.moveaxis(by_day, 2, 1)) if length > 1 else by_day[:, :, 0]
        level, trend = _smooth(weekly)
        week = np.arange(steps) // length
        slope = np.cumsum(_DAMPING ** np.arange(1, week.max(initial=0) + 2))[week]
        mean = np.maximum(level[:, None] + trend[:, None] * slope, 0.0)
        return mean if length == 1 else mean * _weekday_factors(by_day)[:, np.arange(steps) % 7]


def _smooth(weekly: Floats) -> tuple[Floats, Floats]:
    """Return level and trend after the last week at each series' best weight; shape (series,)."""
    alpha = np.array(_ALPHAS)[None, :]
    first, start = (_mean(part[:, :, None]) for part in (weekly[:, :_START_WEEKS], weekly))
    # A series without any observed week has no level, and no forecast.
    level = np.where(np.isnan(first), start, first) + 0.0 * alpha
    trend, loss = np.zeros_like(level), np.zeros_like(level)
    for week in range(weekly.shape[1]):
        expected = level + _DAMPING * trend
        error = weekly[:, week, None] - expected
        error = np.where(np.isnan(error), 0.0, error)
        loss += error**2
        level = expected + alpha * error
        trend = _DAMPING * trend + alpha * _TREND_SHARE * error
    best = loss.argmin(axis=1)
    rows = np.arange(len(weekly))
    return level[rows, best], trend[rows, best]


def _by_week(units: Floats, weeks: int) -> Floats:
    """Return the last weeks of daily units, shape (series, weeks, 7)."""
    weeks = min(weeks, units.shape[1] // 7)
    return units[:, units.shape[1] - 7 * weeks :].reshape(len(units), weeks, 7)


def _weekday_factors(by_day: Floats) -> Floats:
    recent = by_day[:, -_WEEKDAY_WEEKS:]
    day, week = _mean(recent), _mean(recent.reshape(len(recent), -1, 1))
    shrunk = _WEEKDAY_UNITS / recent.shape[1]
    factors: Floats = (day + shrunk) / (week + shrunk)
    return factors


def _mean(values: Floats) -> Floats:
    """Average over the second axis what is not missing; NaN where all is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    mean: Floats = np.where(
        count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan
    )
    return mean


MEMBERS: dict[str, Member] = {
    "seasonal_naive": SeasonalNaive(),
    "year_naive": YearNaive(),
    "damped_smoothing": DampedSmoothing(),
}


def register_member(name: str, member: Member) -> None:
    """Add a member to the ensemble of models that are fitted from now on.

    Raises
    ------
    InvalidInput
        If the name is taken.
    """
    if name in MEMBERS:
        raise InvalidInput(f"member = {name!r} is taken; choose another name.", field="member")
    MEMBERS[name] = member


def member_columns(history: History, steps: Ints, inverse: Ints) -> dict[str, Floats]:
    """Forecast series by each member; columns of pairs of a series and a target period.

    Parameters
    ----------
    history
        The past of the series.
    steps, inverse
        Target periods, counted from the origin, and the position of their series in `history`.
    """
    ahead = int(steps.max(initial=0)) + 1
    return {
        f"{PREFIX}{name}": member.forecast(history, ahead)[inverse, steps]
        for name, member in MEMBERS.items()
    }
