"""Features of the year before: what series and their groups sold in the corresponding periods.

A forecast origin and target periods go in, columns of features come out. Sales in the
corresponding period (`year_before`) are compared with the level a year before the origin, or with
the level now where that one is unknown.
"""

from dataclasses import dataclass

import numpy as np

from features.demand.lag_weights import divide_or_zero, lag_weights
from features.demand.panel import Origin
from features.demand.year_before import YEAR_DAYS, year_before
from features.typing import Floats, Ints

# Weights of a period and its neighbours in a smoothed value.
_KERNELS = {"day": (1, 1, 1, 1, 1, 1, 1), "week": (1, 2, 1)}
# A series with a first sale less than this before the level of last year was still being launched:
# it grew for another reason than the season. One that began with the records is older than them.
_LAUNCH_DAYS = 112
_RECORDS_BEGIN_DAYS = 28
# The least days on which a level of last year rests.
_LEVEL_DAYS = 56
# Units by which ratios are shrunk towards those of the wider group, times the dispersion: the
# variance of units over their mean, which makes the shrinkage sound for any size of unit.
_SHRINKAGE = 20.0
# Bound of ratios and of their inverse.
_MAX_RATIO = 20.0


@dataclass(frozen=True)
class _Members:
    """Series or groups, and the sales from which their ratios are computed.

    Attributes
    ----------
    units, availability
        Past sales in thousandths and observable shares, shape (members, past periods).
    first
        Column of the first sale.
    of_series
        The member that each series of the origin reads.
    """

    units: Floats
    availability: Floats
    first: Ints
    of_series: Ints

    def then(self, window: slice, weights: Floats, base: Floats) -> tuple[Floats, Floats]:
        """Return weighted sums of sales in past columns, and those expected of a level."""
        observable = self.availability[:, window] @ weights
        return self.units[:, window] @ weights, observable * base[:, None]


def annual_columns(origin: Origin, steps: Ints, inverse: Ints, country: str) -> dict[str, Floats]:
    """Compute the features of the year before, none where no corresponding period is known.

    For each group and the series itself (`own`): `season_year`, the log of sales around the
    corresponding period over the level then; `season_same`, that of the period alone;
    `season_before`, its sales over the level now; `trend_year`, the growth of the level over the
    year. The last two are missing where they are unknown. Each is shrunk towards the wider group.
    """
    count = int(steps.max(initial=0)) + 1
    window, period, smooth = _corresponding_periods(origin, count, country)
    total, _ = origin.panel.totals["all"]
    begun = int(np.argmax(total[0] > 0)) if total.any() else origin.column
    if not period[max(begun - window.start, 0) :].any():
        return {}
    around, alone = np.ones((2, len(origin.rows), count))
    growth = np.ones((len(origin.rows), 1))
    columns: dict[str, Floats] = {}
    for name, members in _levels(origin).items():
        members = _without_launches(origin, members, begun)
        now, then = (_level(origin, members, column) for column in _level_columns(origin))
        known = ~np.isnan(then)
        base = np.nan_to_num(np.where(known, then, now))
        held = _SHRINKAGE * np.maximum(_dispersion(origin, members), 1e-6)
        peak = alone / around
        around = _ratio(*members.then(window, smooth, base), around, held, members.of_series)
        alone = _ratio(*members.then(window, period, base), around * peak, held, members.of_series)
        weeks = np.where(known, _LEVEL_DAYS / origin.panel.grain.days, 0.0)[:, None]
        now, then = (weeks * np.nan_to_num(level)[:, None] for level in (now, then))
        growth = _ratio(now, then, growth, held, members.of_series)
        known = known[members.of_series, None]
        seen = members.availability[:, window] @ period > 0
        before = np.log(alone / np.where(known, growth, 1.0))
        columns |= {
            f"season_year_{name}": np.log(around)[inverse, steps],
            f"season_same_{name}": np.log(alone)[inverse, steps],
            f"season_before_{name}": np.where(seen[members.of_series], before, np.nan)[
                inverse, steps
            ],
            f"trend_year_{name}": np.where(known, np.log(growth), np.nan)[inverse, 0],
        }
    return columns


def _ratio(sold: Floats, expected: Floats, prior: Floats, held: Floats, of_series: Ints) -> Floats:
    """Return units over those expected, shrunk towards the wider group's ratio of each series."""
    weight = held[of_series, None]
    ratio = (sold[of_series] + weight * prior) / (expected[of_series] + weight)
    bounded: Floats = np.clip(ratio, 1 / _MAX_RATIO, _MAX_RATIO)
    return bounded


def _corresponding_periods(
    origin: Origin, count: int, country: str
) -> tuple[slice, Floats, Floats]:
    """Return past columns, and their weights in each target period, alone and smoothed.

    Weights have shape (columns, `count`) and are shares of the days of the target period; those of
    columns that the panel lacks, or that lie after the origin, are zero.
    """
    panel, length = origin.panel, origin.panel.grain.days
    if panel.grain.freq == "month":
        return _months_before(origin, count)
    kernel = np.array(_KERNELS[panel.grain.freq])
    margin = len(kernel) // 2
    first = panel.day(origin.column)
    days = np.arange(first - margin * length, first + (count + margin) * length)
    column = (year_before(days, country) - panel.first_day) // length
    window = slice(max(int(column.min()), 0), max(min(int(column.max()) + 1, origin.column), 0))
    target = np.arange(len(days)) // length
    known = (column >= window.start) & (column < window.stop)
    weights = np.zeros((max(window.stop - window.start, 0), count + 2 * margin))
    np.add.at(weights, (column[known] - window.start, target[known]), 1.0)
    smooth = sum(weight * weights[:, k : k + count] for k, weight in enumerate(kernel))
    alone = weights[:, margin : margin + count] / length
    return window, alone, np.asarray(smooth / length / kernel.max())


def _months_before(origin: Origin, count: int) -> tuple[slice, Floats, Floats]:
    """Return what `_corresponding_periods` does of months: each corresponds to that a year ago."""
    first = origin.column - YEAR_DAYS // origin.panel.grain.days
    window = slice(max(first, 0), max(min(first + count, origin.column), 0))
    weights = np.zeros((max(window.stop - window.start, 0), count))
    column = np.arange(window.start, window.stop)
    weights[column - window.start, column - first] = 1.0
    return window, weights, weights


def _levels(origin: Origin) -> dict[str, _Members]:
    """Return the groups of the origin's series, wider ones first, and the series themselves."""
    panel, past = origin.panel, slice(0, origin.column)
    levels: dict[str, _Members] = {}
    for group, (totals, row) in panel.totals.items():
        used, of_series = np.unique(row[origin.rows], return_inverse=True)
        units = totals[used, past]
        first = np.where((units > 0).any(axis=1), np.argmax(units > 0, axis=1), origin.column)
        since = np.arange(origin.column)[None, :] >= first[:, None]
        levels[group] = _Members(
            units,
            since * panel.chain_availability[past],
            first,
            of_series,
        )
    first_day = panel.index.get_column("first_day").to_numpy()[origin.rows]
    levels["own"] = _Members(
        panel.units[origin.rows, past],
        panel.availability[origin.rows, past],
        panel.column(first_day),
        np.arange(len(origin.rows)),
    )
    return levels


def _level_columns(origin: Origin) -> tuple[int, int]:
    """Return the origin's column and that of a year before."""
    return origin.column, origin.column - YEAR_DAYS // origin.panel.grain.days


def _without_launches(origin: Origin, members: _Members, begun: int) -> _Members:
    """Mark sales as unobserved up to the launch of members that were launched in the last year."""
    length, column = origin.panel.grain.days, _level_columns(origin)[1]
    launched = members.first > column - _LAUNCH_DAYS // length
    launched &= members.first > begun + _RECORDS_BEGIN_DAYS // length
    kept = ~launched[:, None]
    return _Members(
        members.units * kept, members.availability * kept, members.first, members.of_series
    )


def _level(origin: Origin, members: _Members, column: int) -> Floats:
    """Return the level before a column in thousandths per period; NaN where too little is known."""
    grain = origin.panel.grain
    window = slice(max(column - YEAR_DAYS // grain.days, 0), max(column, 0))
    table = lag_weights(grain, window.stop - window.start)
    weights = np.column_stack([table["middle"], table["slow"]])
    units, availability = members.units[:, window], members.availability[:, window]
    means = divide_or_zero(units @ weights, availability @ weights).mean(axis=1)
    enough = availability.sum(axis=1) * grain.days >= _LEVEL_DAYS
    return np.where(enough, means, np.nan)


def _dispersion(origin: Origin, members: _Members) -> Floats:
    """Return the variance over the mean of units: of a year's, from differences over a week.

    Months next to each other differ by season: they are compared with those of the year before.
    """
    grain = origin.panel.grain
    year = YEAR_DAYS // grain.days
    lag, past = (year, 2 * year) if grain.freq == "month" else (7 // grain.days, year)
    units = members.units[:, max(origin.column - past, 0) :]
    squares = ((units[:, lag:] - units[:, :-lag]) ** 2).sum(axis=1)
    return divide_or_zero(squares, 2 * units[:, -year:].sum(axis=1))
