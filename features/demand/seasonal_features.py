"""What the calendar, last year and the weekdays say of periods ahead; a part of demand features."""

import numpy as np

from features.demand.calendar_features import season
from features.demand.lag_weights import divide_or_zero
from features.demand.panel import Origin
from features.demand.series import THOUSANDTHS
from features.typing import Floats, Ints

# Last year's season is read over this many periods on either side, and compared with the weeks
# before the origin a year ago.
_AROUND = {"day": 3, "week": 1}
_BASE_DAYS = 56
# Units that a series' own season and weekdays are shrunk by, towards its group's.
_SHRINKAGE = 20_000.0
# Weight of the newest week in each mean of one weekday.
_WEEKDAY_DECAYS = {"fast": 0.5, "slow": 0.15, "long": 0.04}


def season_columns(origin: Origin, steps: Ints, back: Ints, country: str) -> dict[str, Floats]:
    """Describe target periods by the calendar and by what sold around them a year before."""
    grain, ahead = origin.panel.grain, np.arange(int(steps.max(initial=0)) + 1)
    days = [origin.panel.day(origin.column) + grain.days * int(step) for step in ahead]
    calendar = season(days, grain.days, country)
    named = {"holiday_ahead": "to_holiday", "holiday_behind": "since_holiday"}
    if grain.freq == "day":  # pay days move weeks of a month; single days are learned by heart
        named |= {"season_weekday": "weekday", "season_month_week": "month_week"}
    else:
        named |= {"season_week": "week", "season_month_day": "month_day"}
    columns = {name: calendar[column].to_numpy()[steps] for name, column in named.items()}
    columns["season_step"] = steps.astype(np.float64)
    return columns | _last_year(origin, ahead, steps, back)


def _last_year(origin: Origin, ahead: Ints, steps: Ints, back: Ints) -> dict[str, Floats]:
    """Compare a year ago: sales around the period with those of the weeks before the origin."""
    grain, at = origin.panel.grain, origin.column
    around, base = _AROUND[grain.freq], _BASE_DAYS // grain.days
    then = at - 364 // grain.days
    everything, _ = origin.panel.totals["all"]
    begun = int(np.argmax(everything[0] > 0)) if everything.any() else at
    if then - base < begun:
        return {}

    def ratios(sold: Floats, pull: Floats | float) -> tuple[Floats, Floats]:
        summed = np.concatenate([np.zeros((len(sold), 1)), np.cumsum(sold, axis=1)], axis=1)
        last = np.minimum(then + ahead + around + 1, at)
        first = then + ahead - around
        window = summed[:, last] - summed[:, first]
        before = (summed[:, then] - summed[:, then - base])[:, None] * ((last - first) / base)
        return window + _SHRINKAGE * pull, before + _SHRINKAGE

    columns: dict[str, Floats] = {}
    finest: Floats = np.ones((len(origin.rows), len(ahead)))
    for group, (totals, which) in origin.panel.totals.items():
        window, before = ratios(totals, 1.0)
        found = np.log(window / before)[which[origin.rows]]
        columns[f"season_year_{group}"] = found[back, steps]
        finest = np.exp(found)
    window, before = ratios(origin.panel.units[origin.rows, :at], finest)
    columns["season_year_own"] = np.log(window / before)[back, steps]
    return columns


def weekday_columns(origin: Origin, steps: Ints, back: Ints) -> dict[str, Floats]:
    """Describe target days by what sold on their weekday: own means, own habit, the group's."""
    weeks = origin.units.shape[1] // 7
    if not weeks:
        return {}
    shape = (len(origin.rows), weeks, 7)
    sold, seen = (
        part[:, -7 * weeks :].reshape(shape) for part in (origin.units, origin.availability)
    )
    phase, level = steps % 7, origin.level[back]
    columns: dict[str, Floats] = {}
    for name, decay in _WEEKDAY_DECAYS.items():
        weights = np.round((1 << 14) * (1 - decay) ** np.arange(weeks - 1, -1, -1))
        sums = np.einsum("swd,w->sd", sold, weights) / THOUSANDTHS
        counts = np.einsum("swd,w->sd", seen, weights)
        means = divide_or_zero(sums, counts)
        columns[f"season_day_{name}"] = means[back, phase] / level
    index = np.ones((len(origin.rows), 7))
    for group, (totals, which) in list(origin.panel.totals.items())[:2]:
        recent = totals[:, max(origin.column - 56, 0) : origin.column]
        recent = recent[:, recent.shape[1] % 7 :].reshape(len(totals), -1, 7).sum(axis=1)
        shares = (7 * recent + _SHRINKAGE) / (recent.sum(axis=1, keepdims=True) + _SHRINKAGE)
        index = shares[which[origin.rows]]
        columns[f"season_weekday_{group}"] = index[back, phase]
    # Half a year tells a series' own week; what it does not tell, the group's does.
    own = sold[:, -26:].sum(axis=1)
    habit = (7 * own + _SHRINKAGE * index) / (own.sum(axis=1, keepdims=True) + _SHRINKAGE)
    columns["season_weekday_own"] = habit[back, phase]
    return columns
