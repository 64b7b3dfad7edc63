"""How good predicted times to an event are, where some are not seen to end."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.metrics.arrays import as_floats


def concordance(time: ArrayLike, event: ArrayLike, expected: ArrayLike) -> float:
    """Share of comparable pairs in the right order (Harrell 1982); right-censored times.

    NaN where no two are comparable, as where nobody bought.

    Parameters
    ----------
    time
        Days to the purchase, or to the end of follow-up.
    event
        Whether the purchase was seen.
    expected
        Predicted days: larger means later.
    """
    from lifelines.utils import concordance_index

    try:
        return float(concordance_index(as_floats(time), as_floats(expected), as_floats(event)))
    except ZeroDivisionError:
        return float("nan")


def integrated_brier(
    time: ArrayLike, event: ArrayLike, survival: NDArray[np.float64], grid: ArrayLike
) -> float:
    """Brier score of the survival curve averaged over `grid` (Graf et al. 1999).

    All cases are followed to the end of the grid, so no weights for censoring are needed.

    Parameters
    ----------
    time, event
        Days to the purchase or to the end of follow-up; whether it was seen.
    survival
        P(no purchase within d days), shape (cases, days of the grid).
    grid
        Days, ascending.
    """
    time, event, grid = as_floats(time), as_floats(event), as_floats(grid)
    alive = (time[:, None] > grid[None, :]) | ((event[:, None] == 0) & (time[:, None] >= grid))
    return float(((survival - alive) ** 2).mean())
