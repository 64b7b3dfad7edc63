"""Inputs of trees that are monotone in inactivity and unconstrained in usual behaviour.

In: customer features. Out: columns of trees with their signs, and predictions that one more visit
never raises. Usual behaviour (`features.customers.usual_behaviour`) and attributes do not change
while a customer is inactive, so trees that are constrained in the monotone features alone rise with
inactivity. A visit changes usual behaviour: customers with a visit within the last day get the
lower of two predictions, from their usual behaviour with and without the visit before it.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.customers.usual_behaviour import BEFORE, LAST_DAY, PREFIX
from features.typing import Floats
from training.customers.monotone_features import monotone_features
from training.estimators.bg_nbd import ModifiedBgNbd

# Usual gaps that the present inactivity is divided by; the ratios rise with inactivity.
GAPS = (
    *("gap_mean", "gap_median", "gap_q75", "gap_q90", "gap_max"),
    *("gap_late", "gap_later", "gap_max_late", "gap_max_later"),
)


def monotone_inputs(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int
) -> tuple[pl.DataFrame, list[int]]:
    """Return monotone features, usual behaviour and attributes, and the sign of each column.

    Parameters
    ----------
    features, process, horizon_days
        As for `monotone_features`.

    Returns
    -------
    tuple
        The columns; and 1 or -1 for those with a direction, 0 for the others.
    """
    columns, signs = monotone_features(features, process, horizon_days)
    usual = _usual_behaviour(features, PREFIX)
    attributes = features.select(name for name in features.columns if name.startswith(ATTRIBUTE))
    usual_signs = [1 if name.startswith("inactivity_over_") else 0 for name in usual.columns]
    inputs = pl.concat([columns, usual, attributes], how="horizontal")
    return inputs, signs + usual_signs + [0] * attributes.width


def min_over_last_visit(
    log_odds: Callable[[pl.DataFrame], Floats], columns: pl.DataFrame, features: pl.DataFrame
) -> tuple[Floats, pl.DataFrame]:
    """Predict churn so that a visit within the last day never raises the prediction.

    Parameters
    ----------
    log_odds
        Log-odds of churn, from columns.
    columns, features
        What `monotone_inputs` returned for these customers, and their features.

    Returns
    -------
    tuple
        The log-odds, and the columns that they were predicted from.
    """
    predicted = log_odds(columns)
    recent = np.flatnonzero((features.get_column("recency") <= LAST_DAY).to_numpy())
    if len(recent) == 0:
        return predicted, columns
    before = columns[recent].with_columns(_usual_behaviour(features[recent], BEFORE))
    alternative = log_odds(before)
    lower = alternative < predicted[recent]
    predicted[recent] = np.minimum(alternative, predicted[recent])
    rows = np.arange(columns.height)
    rows[recent[lower]] = columns.height + np.flatnonzero(lower)
    return predicted, pl.concat([columns, before])[rows]


def _usual_behaviour(features: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Return the columns of usual behaviour, named by `PREFIX`, and inactivity over its gaps."""
    names = [name for name in features.columns if name.startswith(prefix)]
    usual = features.select(pl.col(name).alias(PREFIX + name[len(prefix) :]) for name in names)
    inactivity = features.get_column("recency")
    return usual.with_columns(
        (inactivity / usual.get_column(PREFIX + gap)).alias(f"inactivity_over_{PREFIX}{gap}")
        for gap in GAPS
    )
