"""What is planned for a period and what such plans did before; a part of the demand features.

Promotions, prices and covariates: each has its value in the target period, its usual value (as
the level contains it), and the effect that it had on the series' own past. A plan for one period
moves the features of that period alone.
"""

from dataclasses import dataclass

import numpy as np

from features.demand.lag_weights import divide_or_zero, lag_weights
from features.demand.panel import Origin
from features.demand.series import THOUSANDTHS
from features.typing import Floats, Ints

# Promoted periods that a series' own effect of promotions is shrunk by, towards none.
_SHRINKAGE = 0.5
# The same for the effect of the log of the price.
_PRICE_SHRINKAGE = 0.05
# Periods before the origin whose mean price a planned price is compared with.
RECENT = {"day": 56, "week": 8}
# What counts as a low price is told by the highest of the last half year.
_HIGH_DAYS = 182


@dataclass(frozen=True)
class _Past:
    """What a series' last year says of a value that is also planned: one number a series.

    Attributes
    ----------
    usual
        Its mean, averaged as the level averages units.
    effect
        Least-squares slope of units over level on it, shrunk to none.
    seen, units
        Periods in which they could sell, of whole weeks, and what was sold in them.
    given, gained
        The value's sum over them, and that of units times it.
    """

    usual: Floats
    effect: Floats
    seen: Floats
    units: Floats
    given: Floats
    gained: Floats


def _past(origin: Origin, values: Floats, shrinkage: float) -> _Past:
    """Compare past values with what was sold then.

    Of days, those of one weekday are compared with each other: what is always planned for
    Mondays would else be taken for what Mondays do.
    """
    length, week = values.shape[1], 7 // origin.panel.grain.days
    weighed = values * origin.availability
    table = lag_weights(origin.panel.grain, length)
    weights = np.column_stack([table[name] for name in ("middle", "slow")])
    usual: Floats = divide_or_zero(weighed @ weights, origin.availability @ weights).mean(axis=1)
    whole = slice(length % week, None)
    # Sums by weekday are products with a matrix of zeros and ones: exact, and quicker than sums.
    weekday = np.tile(np.eye(week), (length // week, 1))
    count, units = (
        origin.availability[:, whole] @ weekday,
        origin.units[:, whole] @ weekday / THOUSANDTHS,
    )
    total = weighed[:, whole] @ weekday
    square = np.einsum("sk,sk->s", values[:, whole], weighed[:, whole])
    gained = np.einsum("sk,sk->s", values[:, whole], origin.units[:, whole]) / THOUSANDTHS
    variation = square - divide_or_zero(total * total, count).sum(axis=1)
    covariation = gained - (total * divide_or_zero(units, count)).sum(axis=1)
    seen, sold = count.sum(axis=1), units.sum(axis=1)
    mean = np.maximum(divide_or_zero(sold, seen), origin.level * 0.2)
    effect: Floats = covariation / (np.maximum(variation, 0.0) + shrinkage) / mean
    return _Past(usual, effect, seen, sold, total.sum(axis=1), gained)


def promotion_columns(origin: Origin, steps: Ints, back: Ints) -> dict[str, Floats]:
    """Describe the planned promotion and what promotions did to the series before."""
    columns: dict[str, Floats] = {}
    length = origin.units.shape[1]
    window = slice(origin.column - length, origin.column)
    for kind, shares in origin.panel.shares.items():
        past = shares[origin.rows, window].astype(np.float64)
        planned = shares[origin.rows[back], origin.column + steps].astype(np.float64)
        before = _past(origin, past, _SHRINKAGE)
        usual, effect = before.usual, before.effect
        change = planned - usual[back]
        columns[f"promotion_planned_{kind}"] = planned
        columns[f"promotion_usual_{kind}"] = usual[back]
        columns[f"promotion_effect_{kind}"] = effect[back]
        columns[f"promotion_last_{kind}"] = past[back, -1] if length else planned * 0
        columns[f"promotion_change_{kind}"] = change
        columns[f"promotion_gain_{kind}"] = change * effect[back]
        if kind == "any":
            promoted, gained = before.given, before.gained
            rest, other = before.seen - promoted, before.units - gained
            columns["promotion_mean_with"] = (gained / (promoted + _SHRINKAGE) / origin.level)[back]
            columns["promotion_mean_without"] = (other / (rest + _SHRINKAGE) / origin.level)[back]
            columns["promotion_periods"] = promoted[back]
    return columns


def price_columns(origin: Origin, steps: Ints, back: Ints) -> dict[str, Floats]:
    """Compare the planned price with recent ones, and say what such changes did before."""
    if origin.panel.price is None:
        return {}
    grain, length = origin.panel.grain, origin.units.shape[1]
    # Whole hundredths of log per cent: sums do not depend on their order.
    prices = np.maximum(origin.panel.price[origin.rows], 1e-6)
    logs = np.round(np.log(prices) * 8192) / 8192
    past = logs[:, origin.column - length : origin.column]
    known = ~np.isnan(past)
    recent = slice(-RECENT[grain.freq], None)
    usual = divide_or_zero(
        np.where(known, past, 0.0)[:, recent].sum(axis=1), known[:, recent].sum(axis=1) * 1.0
    )
    usual = np.where(known[:, recent].any(axis=1), np.round(usual * 8192) / 8192, np.nan)
    centred = np.where(known, past - usual[:, None], 0.0)
    centred = np.nan_to_num(centred)
    high = centred[:, -(_HIGH_DAYS // grain.days) :].max(axis=1, initial=0.0)
    before = _past(origin, centred, _PRICE_SHRINKAGE)
    planned = logs[back, origin.column + steps] - usual[back]
    change = planned - before.usual[back]
    return {
        "price_planned": origin.panel.price[origin.rows[back], origin.column + steps],
        "price_relative": np.exp(planned),
        "price_below_high": planned - high[back],
        "price_effect": before.effect[back],
        "price_gain": np.nan_to_num(change) * before.effect[back],
        "price_last": centred[back, -1] if length else planned * 0,
        "price_log": usual[back],
    }


def covariate_columns(origin: Origin, steps: Ints, back: Ints) -> dict[str, Floats]:
    """Give covariates: ahead where they are known ahead, what they were last where not."""
    columns: dict[str, Floats] = {}
    length = origin.units.shape[1]
    window = slice(origin.column - length, origin.column)
    for name, (covariate, rows) in origin.panel.covariates.items():
        own = rows[origin.rows]
        past = covariate.values[:, window]
        whole = np.round(np.nan_to_num(past) * 1024) / 1024
        recent = whole[:, -7 // origin.panel.grain.days :].mean(axis=1) if length else 0.0
        if not covariate.known_ahead:
            last = np.asarray(recent)[own]
            columns[f"covariate_last_{name}"] = last[back]
            continue
        planned = covariate.values[own[back], origin.column + steps]
        past = whole[own]
        before = _past(origin, past, _SHRINKAGE)
        change = np.nan_to_num(planned) - before.usual[back]
        columns[f"covariate_{name}"] = planned
        columns[f"covariate_gain_{name}"] = change * before.effect[back]
    return columns
