"""Features of plans: promotions, prices and covariates in the target period and in the past.

A forecast origin and target periods go in, columns of features come out. Each planned value comes
with its past mean and with its past effect on the series. The plan of a period changes the
features of that period alone.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.demand.lag_weights import divide_or_zero, lag_weights
from features.demand.panel import Origin
from features.demand.series import THOUSANDTHS
from features.typing import Bools, Floats, Ints

# Promoted periods by which the effect of promotions is shrunk towards none.
_SHRINKAGE = 0.5
# Sum of squared log prices by which the effect of prices is shrunk towards none.
_PRICE_SHRINKAGE = 0.05
# Periods before the origin whose mean price is the reference of a planned price.
RECENT = {"day": 56, "week": 8, "month": 3}
# Features that the plan of the target period decides.
_PLANNED = ("promotion_planned_", "promotion_change_", "promotion_gain_")
# Log prices and covariates are rounded to multiples of 1 / these: sums are then exact in any order.
_LOG_UNITS = 8192
_COVARIATE_UNITS = 1024


@dataclass(frozen=True)
class _Past:
    """Past values of a planned quantity and sales under them; arrays have one number per series.

    Attributes
    ----------
    usual
        Mean value, weighted as the level weights units.
    effect
        Least-squares slope of units / level on the value, shrunk towards zero.
    """

    usual: Floats
    effect: Floats


def _past(origin: Origin, values: Floats, shrinkage: float) -> _Past:
    """Regress past units on past values, shape (series, past periods).

    At a daily grain the regression is within weekdays. A promotion on every Monday would
    otherwise take on the effect of Mondays.
    """
    length, week = values.shape[1], max(7 // origin.panel.grain.days, 1)
    known = ~np.isnan(values)
    availability, units_known = origin.availability * known, origin.units * known
    values = np.where(known, values, 0.0)
    observed = values * availability
    table = lag_weights(origin.panel.grain, length)
    weights = np.column_stack([table[name] for name in ("middle", "slow")])
    usual: Floats = divide_or_zero(observed @ weights, availability @ weights).mean(axis=1)
    weeks = slice(length % week, None)
    # Products with a matrix of zeros and ones sum by weekday: exact, and faster than reductions.
    weekday = np.tile(np.eye(week), (length // week, 1))
    count = availability[:, weeks] @ weekday
    units = units_known[:, weeks] @ weekday / THOUSANDTHS
    total = observed[:, weeks] @ weekday
    square = np.einsum("sk,sk->s", values[:, weeks], observed[:, weeks])
    product = np.einsum("sk,sk->s", values[:, weeks], units_known[:, weeks]) / THOUSANDTHS
    variation = square - divide_or_zero(total * total, count).sum(axis=1)
    covariation = product - (total * divide_or_zero(units, count)).sum(axis=1)
    periods, sold = count.sum(axis=1), units.sum(axis=1)
    mean = np.maximum(divide_or_zero(sold, periods), origin.level * 0.2)
    effect: Floats = covariation / (np.maximum(variation, 0.0) + shrinkage) / mean
    return _Past(usual, effect)


def promotion_columns(origin: Origin, steps: Ints, inverse: Ints) -> dict[str, Floats]:
    """Compute features of planned promotions and of the past effect of promotions.

    Features of a period whose plan is unknown are missing, except for the past effect.

    Parameters
    ----------
    origin
        The series at the forecast origin.
    steps, inverse
        Target periods, counted from the origin, and the position of their series in `origin.rows`.
    """
    columns: dict[str, Floats] = {}
    window = slice(origin.column - origin.units.shape[1], origin.column)
    for kind, shares in origin.panel.shares.items():
        values = shares[origin.rows, window].astype(np.float64)
        planned = shares[origin.rows[inverse], origin.column + steps].astype(np.float64)
        past = _past(origin, values, _SHRINKAGE)
        change = planned - past.usual[inverse]
        columns[f"promotion_planned_{kind}"] = planned
        columns[f"promotion_effect_{kind}"] = past.effect[inverse]
        columns[f"promotion_change_{kind}"] = change
        columns[f"promotion_gain_{kind}"] = change * past.effect[inverse]
    return columns


def without_plan(frame: pl.DataFrame, rows: Bools) -> pl.DataFrame:
    """Return features as they would be with an unknown plan of promotions in some rows."""
    hidden = pl.Series(rows)
    return frame.with_columns(
        pl.when(hidden).then(float("nan")).otherwise(pl.col(column)).alias(column)
        for column in frame.columns
        if column.startswith(_PLANNED)
    )


def price_columns(origin: Origin, steps: Ints, inverse: Ints) -> dict[str, Floats]:
    """Compare planned with recent prices; parameters as in `promotion_columns`."""
    if origin.panel.price is None:
        return {}
    grain, length = origin.panel.grain, origin.units.shape[1]
    prices = np.maximum(origin.panel.price[origin.rows], 1e-6)
    logs = np.round(np.log(prices) * _LOG_UNITS) / _LOG_UNITS
    values = logs[:, origin.column - length : origin.column]
    known = ~np.isnan(values)
    recent = slice(-RECENT[grain.freq], None)
    usual = divide_or_zero(
        np.where(known, values, 0.0)[:, recent].sum(axis=1), known[:, recent].sum(axis=1) * 1.0
    )
    usual = np.round(usual * _LOG_UNITS) / _LOG_UNITS
    usual = np.where(known[:, recent].any(axis=1), usual, np.nan)
    centred = np.where(known, values - usual[:, None], 0.0)
    centred = np.nan_to_num(centred)
    past = _past(origin, centred, _PRICE_SHRINKAGE)
    planned = logs[inverse, origin.column + steps] - usual[inverse]
    change = planned - past.usual[inverse]
    return {
        "price_planned": origin.panel.price[origin.rows[inverse], origin.column + steps],
        "price_relative": np.exp(planned),
        "price_last": centred[inverse, -1] if length else planned * 0,
        "price_effect": past.effect[inverse],
        "price_gain": np.nan_to_num(change) * past.effect[inverse],
        "price_log": usual[inverse],
    }


def covariate_columns(origin: Origin, steps: Ints, inverse: Ints) -> dict[str, Floats]:
    """Give planned values of covariates that are known ahead, and recent values of the others.

    Parameters are those of `promotion_columns`.
    """
    columns: dict[str, Floats] = {}
    length = origin.units.shape[1]
    window = slice(origin.column - length, origin.column)
    for name, (covariate, rows) in origin.panel.covariates.items():
        row = rows[origin.rows]
        values = np.nan_to_num(covariate.values[:, window])
        values = np.round(values * _COVARIATE_UNITS) / _COVARIATE_UNITS
        if not covariate.known_ahead:
            week = -max(7 // origin.panel.grain.days, 1)
            recent = values[:, week:].mean(axis=1) if length else 0.0
            columns[f"covariate_last_{name}"] = np.asarray(recent)[row][inverse]
            continue
        planned = covariate.values[row[inverse], origin.column + steps]
        past = _past(origin, values[row], _SHRINKAGE)
        change = np.nan_to_num(planned) - past.usual[inverse]
        columns[f"covariate_{name}"] = planned
        columns[f"covariate_gain_{name}"] = change * past.effect[inverse]
    return columns
