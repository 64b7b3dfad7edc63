"""What is planned for a period and what such plans did before; a part of the demand features.

Promotions, prices and covariates: each has its value in the target period, its usual value (as
the level contains it), and the effect that it had on the series' own past. A plan for one period
moves the features of that period alone.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.recency import lag_weights

if TYPE_CHECKING:
    from features.demand import Origin

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Promoted periods that a series' own effect of promotions is shrunk by, towards none.
_SHRINKAGE = 0.5
# The same for the effect of the log of the price.
_PRICE_SHRINKAGE = 0.05
# Periods before the origin whose mean price a planned price is compared with.
RECENT = {"day": 56, "week": 8}
# What counts as a low price is told by the highest of the last half year.
_HIGH_DAYS = 182


def _usual(origin: "Origin", values: Floats) -> Floats:
    """Average past values as the level averages units."""
    table = lag_weights(origin.panel.grain, values.shape[1])
    weights = np.column_stack([table[name] for name in ("middle", "slow")])
    found = _over((values * origin.open) @ weights, origin.open @ weights)
    usual: Floats = found.mean(axis=1)
    return usual


def _over(sums: Floats, counts: Floats) -> Floats:
    found: Floats = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    return found


def _slope(origin: "Origin", values: Floats, shrinkage: float) -> Floats:
    """Least-squares slope of units over level on a value, over the last year, shrunk to none.

    Of days, those of one weekday are compared with each other: what is always planned for
    Mondays would else be taken for what Mondays do.
    """
    seen, sold = _by_weekday(origin, origin.open), _by_weekday(origin, origin.units / 1000)
    values = _by_weekday(origin, values)
    count, units = seen.sum(axis=1), sold.sum(axis=1)
    weighed = values * seen
    total = weighed.sum(axis=1)
    square, product = (np.einsum("swd,swd->sd", values, other) for other in (weighed, sold))
    variation = (square - _over(total * total, count)).sum(axis=1)
    covariation = (product - total * _over(units, count)).sum(axis=1)
    mean = np.maximum(_over(units.sum(axis=1), count.sum(axis=1)), origin.level * 0.2)
    found: Floats = covariation / (np.maximum(variation, 0.0) + shrinkage) / mean
    return found


def _by_weekday(origin: "Origin", values: Floats) -> Floats:
    """Lay past periods out as (series, weeks, days of the week); weeks have one column."""
    week = 7 // origin.panel.grain.days
    weeks = values.shape[1] // week
    return values[:, values.shape[1] - weeks * week :].reshape(len(values), weeks, week)


def promotion_columns(origin: "Origin", steps: Ints, back: Ints) -> dict[str, Floats]:
    """Describe the planned promotion and what promotions did to the series before."""
    columns: dict[str, Floats] = {}
    length = origin.units.shape[1]
    window = slice(origin.at - length, origin.at)
    for kind, shares in origin.panel.shares.items():
        past = shares[origin.rows, window].astype(np.float64)
        planned = shares[origin.rows[back], origin.at + steps].astype(np.float64)
        usual, effect = _usual(origin, past), _slope(origin, past, _SHRINKAGE)
        change = planned - usual[back]
        columns[f"promotion_planned_{kind}"] = planned
        columns[f"promotion_usual_{kind}"] = usual[back]
        columns[f"promotion_effect_{kind}"] = effect[back]
        columns[f"promotion_last_{kind}"] = past[back, -1] if length else planned * 0
        columns[f"promotion_change_{kind}"] = change
        columns[f"promotion_gain_{kind}"] = change * effect[back]
        if kind == "any":
            seen, sold = origin.open, origin.units / 1000
            promoted = (past * seen).sum(axis=1)
            gained = (past * sold).sum(axis=1)
            rest = seen.sum(axis=1) - promoted
            other = sold.sum(axis=1) - gained
            columns["promotion_mean_with"] = (gained / (promoted + _SHRINKAGE) / origin.level)[back]
            columns["promotion_mean_without"] = (other / (rest + _SHRINKAGE) / origin.level)[back]
            columns["promotion_periods"] = promoted[back]
    return columns


def price_columns(origin: "Origin", steps: Ints, back: Ints) -> dict[str, Floats]:
    """Compare the planned price with recent ones, and say what such changes did before."""
    if origin.panel.price is None:
        return {}
    grain, length = origin.panel.grain, origin.units.shape[1]
    # Whole hundredths of log per cent: sums do not depend on their order.
    prices = np.maximum(origin.panel.price[origin.rows], 1e-6)
    logs = np.round(np.log(prices) * 8192) / 8192
    past, known = logs[:, origin.at - length : origin.at], None
    known = ~np.isnan(past)
    recent = slice(-RECENT[grain.freq], None)
    usual = _over(
        np.where(known, past, 0.0)[:, recent].sum(axis=1), known[:, recent].sum(axis=1) * 1.0
    )
    usual = np.where(known[:, recent].any(axis=1), usual, np.nan)
    centred = np.where(known, past - usual[:, None], 0.0)
    centred = np.nan_to_num(centred)
    high = centred[:, -(_HIGH_DAYS // grain.days) :].max(axis=1, initial=0.0)
    effect = _slope(origin, centred, _PRICE_SHRINKAGE)
    planned = logs[back, origin.at + steps] - usual[back]
    change = planned - _usual(origin, centred)[back]
    return {
        "price_planned": origin.panel.price[origin.rows[back], origin.at + steps],
        "price_relative": np.exp(planned),
        "price_below_high": planned - high[back],
        "price_effect": effect[back],
        "price_gain": np.nan_to_num(change) * effect[back],
        "price_last": centred[back, -1] if length else planned * 0,
        "price_log": usual[back],
    }


def covariate_columns(origin: "Origin", steps: Ints, back: Ints) -> dict[str, Floats]:
    """Give covariates: ahead where they are known ahead, what they were last where not."""
    columns: dict[str, Floats] = {}
    length = origin.units.shape[1]
    window = slice(origin.at - length, origin.at)
    for name, (covariate, rows) in origin.panel.covariates.items():
        own = rows[origin.rows]
        past = covariate.values[:, window]
        whole = np.round(np.nan_to_num(past) * 1024) / 1024
        recent = whole[:, -7 // origin.panel.grain.days :].mean(axis=1) if length else 0.0
        if not covariate.known_ahead:
            last = np.asarray(recent)[own]
            columns[f"covariate_last_{name}"] = last[back]
            continue
        planned = covariate.values[own[back], origin.at + steps]
        past = whole[own]
        usual, effect = _usual(origin, past), _slope(origin, past, _SHRINKAGE)
        change = np.nan_to_num(planned) - usual[back]
        columns[f"covariate_{name}"] = planned
        columns[f"covariate_gain_{name}"] = change * effect[back]
    return columns
