"""Training rows in, what all series did together in them out; a part of the demand model.

A good week of the whole shop is one example, however many series had it: records of a few weeks
hold thousands of rows and a handful of such examples. How far what all did together is learned,
and taken to go on, therefore depends on the weeks that the rows span.
"""

import numpy as np
import polars as pl

from features.typing import Floats

# With so many weeks, half of what all series did together is believed.
_HALF_WEEKS = 10
# Together, series moved by no more than this factor: beyond it there are few units to tell.
_LARGEST = 10.0
# What went on in these days before the instant may go on after it.
_LATE_DAYS = 56


def reliance(rows: pl.DataFrame) -> float:
    """Say how far movements of all series can be learned from rows: 0 is not at all, 1 wholly."""
    days = rows.get_column("day").to_numpy()
    square = float(((days.max() - days.min()) / 7 + 1) ** 2)
    return square / (square + _HALF_WEEKS**2)


def together(rows: pl.DataFrame, usual: Floats, share: float) -> Floats:
    """Give each row the factor that all series had in its week, as far as it is not believed.

    Parameters
    ----------
    rows
        With `origin`, `day` and `units`.
    usual
        Units that each row would sell if the period were like the last ones.
    share
        How far what all did together is believed: at 1 all factors are 1.
    """
    day, origin = (rows.get_column(c).to_numpy().astype(np.int64) for c in ("day", "origin"))
    weeks, cell = np.unique(
        np.column_stack([origin, (day - origin) // 7]), axis=0, return_inverse=True
    )
    cell = cell.ravel()
    sold = np.bincount(cell, rows.get_column("units").to_numpy(), len(weeks))
    factor = np.clip(sold / np.bincount(cell, usual, len(weeks)), 1 / _LARGEST, _LARGEST)
    found: Floats = factor[cell] ** (1 - share)
    return found


def drift(rows: pl.DataFrame, unseen: Floats) -> float:
    """Say by how much all series together sold more of late than members expected unseen."""
    day = rows.get_column("day").to_numpy()
    late = day > day.max() - _LATE_DAYS
    sold = rows.get_column("units").to_numpy()[late].sum()
    return float(sold / max(unseen[late].sum(), 1e-9))
