"""Seasonal features: calendar and weekdays of the periods ahead.

A forecast origin and target periods go in, columns of features come out.
"""

import numpy as np

from features.demand.calendar_features import season
from features.demand.lag_weights import UNIT_WEIGHT, divide_or_zero
from features.demand.panel import Origin
from features.demand.series import THOUSANDTHS
from features.typing import Floats, Ints

# Thousandths of units by which a series' factors are shrunk towards those of its group.
_SHRINKAGE = 20_000.0
# Share of the newest week in each exponentially weighted mean of one weekday.
_WEEKDAY_DECAYS = {"fast": 0.5, "slow": 0.15, "long": 0.04}


def season_columns(origin: Origin, steps: Ints, country: str) -> dict[str, Floats]:
    """Compute calendar features of target periods."""
    grain, ahead = origin.panel.grain, np.arange(int(steps.max(initial=0)) + 1)
    days = grain.shift(origin.panel.day(origin.column), ahead).tolist()
    calendar = season(days, grain.days, country)
    named = {"holiday_ahead": "to_holiday", "holiday_behind": "since_holiday"}
    if grain.freq == "day":  # pay days act on the days and on the weeks of a month
        named |= {"season_weekday": "weekday", "season_month_week": "month_week"}
        named |= {"season_month_day": "month_day"}
    elif grain.freq == "month":
        named |= {"season_month": "month"}
    else:
        named |= {"season_week": "week", "season_month_day": "month_day"}
    columns = {name: calendar[column].to_numpy()[steps] for name, column in named.items()}
    columns["season_step"] = steps.astype(np.float64)
    return columns


def weekday_columns(origin: Origin, steps: Ints, inverse: Ints) -> dict[str, Floats]:
    """Compute features of the target day's weekday: the series' means and factor, its group's."""
    weeks = origin.units.shape[1] // 7
    if not weeks:
        return {}
    shape = (len(origin.rows), weeks, 7)
    sold, available = (
        part[:, -7 * weeks :].reshape(shape) for part in (origin.units, origin.availability)
    )
    phase, level = steps % 7, origin.level[inverse]
    columns: dict[str, Floats] = {}
    for name, decay in _WEEKDAY_DECAYS.items():
        weights = np.round(UNIT_WEIGHT * (1 - decay) ** np.arange(weeks - 1, -1, -1))
        sums = np.einsum("swd,w->sd", sold, weights) / THOUSANDTHS
        counts = np.einsum("swd,w->sd", available, weights)
        means = divide_or_zero(sums, counts)
        columns[f"season_day_{name}"] = means[inverse, phase] / level
    index = np.ones((len(origin.rows), 7))
    recent = slice(max(origin.column - min(weeks, 8) * 7, 0), origin.column)
    opened = origin.panel.chain_availability[recent].reshape(1, -1, 7).sum(axis=1)
    for group, (totals, row) in list(origin.panel.totals.items())[:2]:
        by_weekday = totals[:, recent].reshape(len(totals), -1, 7).sum(axis=1)
        index = _weekday_factors(by_weekday, opened, np.ones(7))[row[origin.rows]]
        columns[f"season_weekday_{group}"] = index[inverse, phase]
    # The factors of half a year, shrunk towards those of the group.
    factor = _weekday_factors(sold[:, -26:].sum(axis=1), available[:, -26:].sum(axis=1), index)
    columns["season_weekday_own"] = factor[inverse, phase]
    return columns


def _weekday_factors(sold: Floats, opened: Floats, index: Floats) -> Floats:
    """Return units by weekday over those expected of its open days, shrunk towards an index."""
    mean = divide_or_zero(sold.sum(axis=1), np.broadcast_to(opened.sum(axis=1), len(sold)))
    factors: Floats = (sold + _SHRINKAGE / 7 * index) / (mean[:, None] * opened + _SHRINKAGE / 7)
    return factors
