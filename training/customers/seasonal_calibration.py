"""Seasonal level of log-odds of inactivity: what the same season of the year before differed by.

Predictions for customers a year ago and their outcomes go in, a difference in log-odds comes out:
close to 0 unless the shop has a season.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import Cutoff, follow_up, history_days

YEAR_DAYS = 364
# Standard deviation, in log-odds, by which a level differs from that of the year before where no
# other pair of years is known; it counts as one pair.
PRIOR_DEVIATION = 0.25
# Newton steps of a level: three suffice, the problem is one-dimensional and convex.
STEPS = 8

LogOdds = Callable[[pl.DataFrame], Floats]


def seasonal_level(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    newest: Cutoff,
    log_odds: LogOdds,
    past: LogOdds,
) -> float:
    """Estimate the difference from the predictions at `as_of` from that of the year before.

    It is shrunk as much as differences a year apart disagree (linear shrinkage of a signal with
    noise): the year before `newest` is compared with what followed `newest`.

    Parameters
    ----------
    dataset, as_of, horizon_days
        The records, the instant, and the days of the outcomes.
    newest
        The newest cutoff with complete follow-up.
    log_odds
        The model's predictions.
    past
        Predictions of a model that is fitted to what was known at `newest`.

    Returns
    -------
    float
        To be added to log-odds; 0 without records of a year before.
    """
    season = _year_before(dataset, as_of, to_day(as_of), horizon_days)
    if season is None:
        return 0.0
    level, error = level_of(log_odds(season.features), season.churned(horizon_days))
    variance = PRIOR_DEVIATION**2
    tested = _year_before(dataset, as_of, newest.day, horizon_days)
    if tested is not None:
        before, after = (
            level_of(past(cutoff.features), cutoff.churned(horizon_days))[0]
            for cutoff in (tested, newest)
        )
        variance = (variance + (after - before) ** 2) / 2
    return level**3 / (level**2 + variance + error**2)


def level_of(log_odds: Floats, label: Floats) -> tuple[float, float]:
    """Return what is to be added to log-odds to meet the mean outcome, and its standard error."""
    # One outcome of either kind is added, so that the level is finite.
    target = (label.sum() + 0.5) / (len(label) + 1)
    level = 0.0
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(log_odds + level)))
        information = (p * (1 - p)).sum() + 0.25
        level += float(np.clip((target - p.mean()) * len(label) / information, -1, 1))
    return level, float(1 / np.sqrt(information))


def _year_before(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cutoff | None:
    """Return the cutoff a year before a day; None without a horizon of records before it."""
    first = to_day(as_of) - history_days(dataset, as_of)
    if day - YEAR_DAYS - first < horizon_days:
        return None
    return follow_up(dataset, as_of, day - YEAR_DAYS, horizon_days)
