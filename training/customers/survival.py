"""How long until a customer buys: curves of P(purchase within d days), and what is read off them.

Customers followed from a cut go in as bins that they lived through; hazards of bins become curves,
curves become expectations, quantiles and chances. The next purchase, that from a category and their
baselines share it. Beyond the follow-up a curve goes on as a process says (`within`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.errors import InvalidInput
from features.typing import Floats, Ints
from training.estimators.bg_nbd import BgNbd

QUANTILES = (0.1, 0.5, 0.9)
WITHIN_DAYS = (7, 14, 30)
# Chances are answered for so many days ahead at most.
MOST_DAYS = 3650
# Days between the past cutoffs that the models learn from.
CUTOFF_STEP_DAYS = 14
TINY = 1e-12
# Who came for the first time yesterday, as a process of buying sees them; who has not come yet is
# taken for one.
NEWCOMER = (np.zeros(1), np.zeros(1), np.ones(1))


def check_follow_up(horizon_days: int) -> None:
    """Refuse a follow-up that is shorter than the longest chance which is always answered.

    Raises
    ------
    InvalidInput
        Naming `horizon_days`.
    """
    if horizon_days < max(WITHIN_DAYS):
        raise InvalidInput(
            f"horizon_days = {horizon_days} is too short for the chance of a purchase "
            f"within {max(WITHIN_DAYS)} days; use {max(WITHIN_DAYS)} or more.",
            field="horizon_days",
        )


def lived_bins(
    days: Ints, bought: NDArray[np.bool_], until: int, edges: Ints
) -> tuple[Ints, Ints, Floats]:
    """Lay out the bins that each lived through after a cut, and who bought in them.

    Parameters
    ----------
    days
        Whole days to the next purchase or to the end of follow-up, one each.
    bought
        Whether the purchase was seen.
    until
        Days of follow-up.
    edges
        First days of the bins, and the horizon.

    Returns
    -------
    rows, bins, bought
        One entry a bin lived through: whose, which, and 1 where they bought in it.
    """
    # A bin that was followed only in part counts for nobody, whether they bought or not.
    at = np.searchsorted(edges, days, side="right") - 1
    whole = edges[np.minimum(at + 1, len(edges) - 1)] <= until
    lived = np.where(bought & whole, at + 1, at)
    rows = np.repeat(np.arange(len(at)), lived)
    bins = np.arange(len(rows)) - np.repeat(np.cumsum(lived) - lived, lived)
    return rows, bins, (bought[rows] & (bins == at[rows])).astype(np.float64)


def life_table(bins: Ints, bought: Floats, edges: Ints) -> Floats:
    """Return the share who have bought by each day up to the horizon, from bins lived through."""
    lived = np.bincount(bins, minlength=len(edges) - 1)
    events = np.bincount(bins, weights=bought, minlength=len(edges) - 1)
    hazard = events / np.maximum(lived, 1)
    return np.asarray(curve_of(hazard[None, :], edges)[0])


def curve_of(hazard: Floats, edges: NDArray[np.int64]) -> Floats:
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
        Shape (customers, horizon); within a bin the daily chance is the same.
    """
    widths = np.diff(edges)
    a_day = np.log1p(-np.clip(hazard, 0, 1 - 1e-9)) / widths
    return np.asarray(-np.expm1(np.cumsum(np.repeat(a_day, widths, axis=1), axis=1)))


def within(
    curves: Floats, days: int, process: BgNbd, history: tuple[Floats, Floats, Floats]
) -> Floats:
    """Return P(purchase within so many days), one a curve.

    Within the follow-up it is the curve's. Beyond it, who has been silent so far stays silent with
    the chance that the process gives them: for longer, given the follow-up.

    Parameters
    ----------
    curves
        P(purchase within d days), d = 1 to the horizon.
    process, history
        What the process knows each by: frequency, recency and age at the instant of the curve.
    """
    horizon = curves.shape[1]
    if days <= horizon:
        return np.asarray(curves[:, days - 1], dtype=np.float64)
    longer, so_far = (process.inactivity(*history, ahead) for ahead in (days, horizon))
    return np.asarray(1 - (1 - curves[:, -1]) * longer / np.maximum(so_far, TINY))


def check_days(days: Sequence[int], field: str) -> None:
    """Refuse numbers of days that no chance can be answered for.

    Raises
    ------
    InvalidInput
        Naming the field's place and the value.
    """
    for number, one in enumerate(days):
        if isinstance(one, bool) or not isinstance(one, int) or not 1 <= one <= MOST_DAYS:
            raise InvalidInput(
                f"{field}[{number}] = {one!r} cannot be answered: ask for whole days from 1 to "
                f"{MOST_DAYS}.",
                field=f"{field}[{number}]",
            )


def answers_from(customer_ids: pl.Series, curves: Floats) -> pl.DataFrame:
    """Read expectation, quantiles and chances off P(purchase within d days), d = 1 to the horizon.

    Within a day, every moment is as likely as another.
    """
    horizon = curves.shape[1]
    chance_of_day = np.diff(curves, axis=1, prepend=0.0)
    middles = np.arange(horizon) + 0.5
    expected = (chance_of_day * middles).sum(axis=1) + (1 - curves[:, -1]) * horizon
    columns: dict[str, Any] = {"customer_id": customer_ids, "expected_days": expected}
    columns |= {quantile_name(q): quantile_of(curves, q) for q in QUANTILES}
    columns |= {f"p_within_{days}": curves[:, days - 1] for days in WITHIN_DAYS}
    return pl.DataFrame(columns)


def quantile_of(curves: Floats, level: float) -> Floats:
    """Read the days by which the purchase has come with the chance `level`; the horizon at most."""
    horizon = curves.shape[1]
    customer = np.arange(len(curves))
    before = (curves < level).sum(axis=1)
    day = np.minimum(before, horizon - 1)
    reached = curves[customer, day]
    chance = np.where(day > 0, reached - curves[customer, np.maximum(day - 1, 0)], reached)
    inside = np.clip(1 - (reached - level) / np.maximum(chance, 1e-12), 0, 1)
    return np.asarray(np.where(before == horizon, horizon, day + inside))


def quantile_name(level: float) -> str:
    """Return a quantile's column: q10 of 0.1, q2.5 of 0.025."""
    return f"q{round(100 * level, 4):g}"
