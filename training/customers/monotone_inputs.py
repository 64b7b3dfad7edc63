"""Routines beside directed features: trees that read them freely and still rise with silence.

Customer features go in, the columns of trees come out. A routine
(`features.customers.usual_behaviour`) does not change while a customer is silent, nor does who they
are (`features.customers.attributes`), so trees bound in the directed columns rise with silence
whatever they make of it. A further visit does change a routine: who came within the last day is
told the lower of what theirs says with the visit before it and without, so that the visit never
makes them likelier to stay away. Churn and next purchase rest on it.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.customers.usual_behaviour import BEFORE, LAST_DAY, PREFIX
from features.typing import Floats
from training.customers.monotone_features import monotone_features
from training.estimators.bg_nbd import ModifiedBgNbd

# The present silence over these gaps of the routine rises with silence, too.
GAPS = (
    *("gap_mean", "gap_median", "gap_q75", "gap_q90", "gap_max"),
    *("gap_late", "gap_later", "gap_max_late", "gap_max_later"),
)


def monotone_inputs(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int
) -> tuple[pl.DataFrame, list[int]]:
    """Return the columns of `directed` first, then the routine's and who they are, and signs.

    Parameters
    ----------
    features, process, horizon_days
        As for `directed`.

    Returns
    -------
    tuple
        The columns, and 1 or -1 where they have a direction, 0 where they have none.
    """
    columns, signs = monotone_features(features, process, horizon_days)
    routine = _routine(features, PREFIX)
    who = features.select(name for name in features.columns if name.startswith(ATTRIBUTE))
    free = [1 if name.startswith("silence_over_") else 0 for name in routine.columns]
    together = pl.concat([columns, routine, who], how="horizontal")
    return together, signs + free + [0] * who.width


def min_over_last_visit(
    log_odds: Callable[[pl.DataFrame], Floats], columns: pl.DataFrame, features: pl.DataFrame
) -> tuple[Floats, pl.DataFrame]:
    """Answer from `with_routine` columns so that a visit within the last day lowers the answer.

    Parameters
    ----------
    log_odds
        Of staying away, from columns.
    columns, features
        What `with_routine` returned for these customers.

    Returns
    -------
    tuple
        The log-odds, and the columns that they were read from.
    """
    found = log_odds(columns)
    came = np.flatnonzero((features.get_column("recency") <= LAST_DAY).to_numpy())
    if len(came) == 0:
        return found, columns
    before = _routine(features[came], BEFORE)
    other = columns[came].with_columns(before)
    without = log_odds(other)
    lower = without < found[came]
    found[came] = np.minimum(without, found[came])
    at = np.arange(columns.height)
    at[came[lower]] = columns.height + np.flatnonzero(lower)
    return found, pl.concat([columns, other])[at]


def _routine(features: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Return the routine's columns under the names of `PREFIX`, and the silence over its gaps."""
    names = [name for name in features.columns if name.startswith(prefix)]
    routine = features.select(pl.col(name).alias(PREFIX + name[len(prefix) :]) for name in names)
    silence = features.get_column("recency")
    return routine.with_columns(
        (silence / routine.get_column(PREFIX + gap)).alias(f"silence_over_{PREFIX}{gap}")
        for gap in GAPS
    )
