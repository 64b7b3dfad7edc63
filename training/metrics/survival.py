"""Accuracy of predicted times to an event under right-censoring.

In: times, whether the event was observed, and predictions, aligned. Out: one number.
"""

from numpy.typing import ArrayLike

from features.typing import Floats
from training.metrics.arrays import as_floats


def concordance(time: ArrayLike, event: ArrayLike, expected: ArrayLike) -> float:
    """Return the share of comparable pairs in the right order (Harrell 1982).

    NaN if no pair is comparable, as without any event.

    Parameters
    ----------
    time
        Days to the event, or to the end of follow-up.
    event
        Whether the event was observed.
    expected
        Predicted days: larger means later.
    """
    from lifelines.utils import concordance_index

    try:
        return float(concordance_index(as_floats(time), as_floats(expected), as_floats(event)))
    except ZeroDivisionError:
        return float("nan")


def integrated_brier(time: ArrayLike, event: ArrayLike, survival: Floats, grid: ArrayLike) -> float:
    """Return the Brier score of the survival curve averaged over `grid` (Graf et al. 1999).

    All cases have follow-up to the end of the grid, so no weights for censoring are needed.

    Parameters
    ----------
    time, event
        Days to the event or to the end of follow-up; whether the event was observed.
    survival
        P(no event within d days), shape (cases, days of the grid).
    grid
        Days, ascending.
    """
    time, event, grid = as_floats(time), as_floats(event), as_floats(grid)
    alive = (time[:, None] > grid[None, :]) | ((event[:, None] == 0) & (time[:, None] >= grid))
    return float(((survival - alive) ** 2).mean())
