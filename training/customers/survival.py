"""Survival analysis of the time to the next purchase: hazards and curves.

Bins at risk after a cutoff go in; hazards become curves P(purchase within d days), which
`training.customers.purchase_curves` reads.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.errors import InvalidInput
from features.typing import Floats, Ints

QUANTILES = (0.1, 0.5, 0.9)
WITHIN_DAYS = (7, 14, 30)
# Longest horizon of a probability.
MAX_DAYS = 3650
# Days between the past cutoffs that the models are trained on.
CUTOFF_STEP_DAYS = 14
TINY = 1e-12
# Frequency, recency and age of a customer with a first purchase yesterday; stands for customers
# without a purchase.
NEW_CUSTOMER = (np.zeros(1), np.zeros(1), np.ones(1))


def check_horizon(horizon_days: int) -> None:
    """Check that the follow-up reaches as far as the longest published probability.

    Raises
    ------
    InvalidInput
        Naming `horizon_days`.
    """
    if horizon_days < max(WITHIN_DAYS):
        raise InvalidInput(
            f"horizon_days = {horizon_days} is too short for the probability of a purchase "
            f"within {max(WITHIN_DAYS)} days; use {max(WITHIN_DAYS)} or more.",
            field="horizon_days",
        )


def check_days(days: Sequence[int], field: str) -> None:
    """Check numbers of days ahead.

    Raises
    ------
    InvalidInput
        If one is not a whole number from 1 to MAX_DAYS; names the position in `field`.
    """
    for position, value in enumerate(days):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_DAYS:
            raise InvalidInput(
                f"{field}[{position}] = {value!r} cannot be answered: ask for whole days from 1 "
                f"to {MAX_DAYS}.",
                field=f"{field}[{position}]",
            )


def bins_at_risk(
    days: Ints, purchased: NDArray[np.bool_], follow_up_days: int, edges: Ints
) -> tuple[Ints, Ints, Floats]:
    """Return the bins in which each entity was at risk after a cutoff, and where it purchased.

    Bins with incomplete follow-up are left out for all entities, whether they purchased or not.

    Parameters
    ----------
    days
        Whole days to the next purchase or to the end of follow-up.
    purchased
        Whether the purchase was observed.
    follow_up_days
        Days of follow-up.
    edges
        First days of the bins, and the horizon.

    Returns
    -------
    rows, bins, label
        One entry a bin at risk: the entity, the bin, and 1 where it purchased in the bin.
    """
    last = np.searchsorted(edges, days, side="right") - 1
    complete = edges[np.minimum(last + 1, len(edges) - 1)] <= follow_up_days
    count = np.where(purchased & complete, last + 1, last)
    rows = np.repeat(np.arange(len(last)), count)
    bins = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, bins, (purchased[rows] & (bins == last[rows])).astype(np.float64)


def life_table(bins: Ints, label: Floats, edges: Ints) -> Floats:
    """Return P(purchase within d days), d = 1 to the horizon, from bins at risk (life table)."""
    at_risk = np.bincount(bins, minlength=len(edges) - 1)
    events = np.bincount(bins, weights=label, minlength=len(edges) - 1)
    hazard = events / np.maximum(at_risk, 1)
    return np.asarray(curves_from_hazards(hazard[None, :], edges)[0])


def curves_from_hazards(hazard: Floats, edges: NDArray[np.int64]) -> Floats:
    """Turn hazards of bins into P(purchase within d days), d = 1 to the horizon.

    Parameters
    ----------
    hazard
        P(purchase in the bin, if none before it), shape (customers, bins).
    edges
        First days of the bins, and the horizon.

    Returns
    -------
    numpy.ndarray
        Shape (customers, horizon); the daily hazard is constant within a bin.
    """
    widths = np.diff(edges)
    daily = np.log1p(-np.clip(hazard, 0, 1 - 1e-9)) / widths
    return np.asarray(-np.expm1(np.cumsum(np.repeat(daily, widths, axis=1), axis=1)))


def quantile_name(level: float) -> str:
    """Return the column of a quantile: q10 of 0.1, q2.5 of 0.025."""
    return f"q{round(100 * level, 4):g}"


def kaplan_meier(days: Ints, purchased: NDArray[np.bool_], horizon_days: int) -> Floats:
    """Return P(purchase within d days), d = 1 to the horizon (Kaplan and Meier 1958).

    Parameters
    ----------
    days
        Whole days to the next purchase or to the end of follow-up.
    purchased
        Whether the purchase was observed.
    horizon_days
        Length of the curve; 0 throughout without entities.
    """
    from lifelines import KaplanMeierFitter

    if len(days) == 0:
        return np.zeros(horizon_days)
    # Purchases happen within their day; follow-up ends before the start of its last day.
    durations = days + 0.5 * purchased
    fitter = KaplanMeierFitter().fit(durations, purchased)
    survival = fitter.survival_function_at_times(np.arange(1, horizon_days + 1))
    return np.asarray(1 - survival.to_numpy(), dtype=np.float64)
