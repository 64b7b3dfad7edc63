"""Training rows in; factors that all series share, and how far they are to be believed, out.

A good week of the whole chain is one example however many series sold in it: records of a few
weeks hold thousands of rows and a handful of such examples. The weight of a common movement
therefore depends on the number of weeks that the rows span.
"""

import numpy as np
import polars as pl

from features.typing import Floats

# Weeks at which a common movement has half its full weight.
_HALF_WEIGHT_WEEKS = 10
# Bound of a week's common factor and of its inverse: beyond it there are too few units.
_MAX_FACTOR = 10.0
# Days before the instant over which the recent bias is measured.
_RECENT_DAYS = 56


def credibility_weight(rows: pl.DataFrame) -> float:
    """Return the weight, 0 to 1, of common movements: weeks² / (weeks² + 10²)."""
    days = rows.get_column("day").to_numpy()
    square = float(((days.max() - days.min()) / 7 + 1) ** 2)
    return square / (square + _HALF_WEIGHT_WEEKS**2)


def common_factor(rows: pl.DataFrame, expected: Floats, weight: float) -> Floats:
    """Return the part of each row's common factor that is to be removed from its label.

    The common factor of a week is its units over those expected, over all series of an origin.

    Parameters
    ----------
    rows
        With `origin`, `day` and `units`.
    expected
        Expected units of each row, from the recent level alone.
    weight
        Credibility of the common movement: at 1 all factors are 1, at 0 they are unreduced.
    """
    day, origin = (rows.get_column(c).to_numpy().astype(np.int64) for c in ("day", "origin"))
    weeks, cell = np.unique(
        np.column_stack([origin, (day - origin) // 7]), axis=0, return_inverse=True
    )
    cell = cell.ravel()
    units = np.bincount(cell, rows.get_column("units").to_numpy(), len(weeks))
    factor = units / np.bincount(cell, expected, len(weeks))
    factors: Floats = np.clip(factor, 1 / _MAX_FACTOR, _MAX_FACTOR)[cell] ** (1 - weight)
    return factors


def level_bias(rows: pl.DataFrame, out_of_fold: Floats) -> float:
    """Return units over out-of-fold forecasts, of all series together in the last eight weeks."""
    day = rows.get_column("day").to_numpy()
    recent = day > day.max() - _RECENT_DAYS
    units = rows.get_column("units").to_numpy()[recent].sum()
    return float(units / max(out_of_fold[recent].sum(), 1e-9))
