"""Calibration of log-odds of inactivity to the same season of the year before.

Predictions for customers a year ago and their outcomes go in, a Platt scaling comes out: the
identity unless the shop has a season.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import Cutoff, follow_up, history_days
from training.estimators.platt_scaling import PlattScaling

YEAR_DAYS = 364
# Difference between observed and predicted rate below which a bias is ignored, and in standard
# errors.
MIN_LEVEL_BIAS, MIN_STANDARD_ERRORS = 0.05, 3.0
# A calibration is rejected if it raises the log loss of later outcomes by so many standard errors.
REJECTED_STANDARD_ERRORS = 2.0

LogOdds = Callable[[pl.DataFrame], Floats]


def seasonal_calibration(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    newest: Cutoff,
    log_odds: LogOdds,
    past: Callable[[int], LogOdds],
) -> PlattScaling:
    """Fit a scaling to the outcomes a year before, if they differ from what is predicted.

    It is rejected if a scaling of the year before `newest` would have been worse than none there.
    With records that are too short to test it, the difference decides.

    Parameters
    ----------
    dataset, as_of, horizon_days
        The records, the instant, and the days of the outcomes.
    newest
        The newest cutoff with complete follow-up.
    log_odds
        The model's predictions.
    past
        Predictions of a model that is fitted to the outcomes known at a day.
    """
    season = _year_before(dataset, as_of, to_day(as_of), horizon_days)
    if season is None:
        return PlattScaling()
    predicted, label = log_odds(season.features), season.churned(horizon_days)
    if not has_level_bias(predicted, label):
        return PlattScaling()
    tested = _year_before(dataset, as_of, newest.day, horizon_days)
    if tested is not None:
        earlier = past(newest.day)
        scaling = _fit(earlier(tested.features), tested.churned(horizon_days))
        if is_worse(scaling, earlier(newest.features), newest.churned(horizon_days)):
            return PlattScaling()
    return _fit(predicted, label)


def has_level_bias(log_odds: Floats, label: Floats) -> bool:
    """Return whether observed and predicted rate differ beyond both limits."""
    p = 1 / (1 + np.exp(-log_odds))
    error = abs(float(label.mean() - p.mean()))
    standard_error = float(np.sqrt((p * (1 - p)).sum())) / len(label)
    return error > max(MIN_LEVEL_BIAS, MIN_STANDARD_ERRORS * standard_error)


def is_worse(scaling: PlattScaling, log_odds: Floats, label: Floats) -> bool:
    """Return whether a scaling raises the log loss by REJECTED_STANDARD_ERRORS."""
    scaled, none = (
        np.logaddexp(0, odds) - label * odds
        for odds in (scaling.apply(log_odds[:, None]), log_odds)
    )
    loss = scaled - none
    return bool(loss.mean() > REJECTED_STANDARD_ERRORS * loss.std() / np.sqrt(len(loss)))


def _fit(log_odds: Floats, label: Floats) -> PlattScaling:
    return PlattScaling.fit(log_odds[:, None], label, (1.0,))


def _year_before(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cutoff | None:
    """Return the cutoff a year before a day; None without a horizon of records before it."""
    first = to_day(as_of) - history_days(dataset, as_of)
    if day - YEAR_DAYS - first < horizon_days:
        return None
    return follow_up(dataset, as_of, day - YEAR_DAYS, horizon_days)
