"""Features of closures: the open share of target periods, and closures around them.

A forecast origin and target periods go in, columns come out. They read closures before the origin,
planned ones, and those that are expected to recur.
"""

import numpy as np
import polars as pl

from features.demand.closures import MARGIN_DAYS
from features.demand.panel import Origin
from features.demand.recurring_closures import WEEKDAY
from features.typing import Floats, Ints


def opening_columns(
    origin: Origin, steps: Ints, inverse: Ints, country: str
) -> tuple[dict[str, Floats | pl.Series], dict[str, Floats]]:
    """Compute the open share of target periods, and features of closures.

    Parameters
    ----------
    origin
        The series at the forecast origin.
    steps, inverse
        Target periods, counted from the origin, and the position of their series in `origin.rows`.
    country
        ISO code of the country whose public holidays count.

    Returns
    -------
    tuple
        `open_share` and `closed_by` (code of the reason; of longer periods, that of unusual
        closures). Then the features: of days, how many closed days precede and follow without a
        break, at most `MARGIN_DAYS`; of longer periods, the open share.
    """
    arrays, daily = origin.panel, origin.panel.grain.freq == "day"
    day = arrays.day(origin.column)
    lengths = arrays.grain.lengths(day, np.arange(int(steps.max(initial=0)) + 1))
    days, start = int(lengths.sum()), np.cumsum(lengths) - lengths
    ahead = arrays.opening.ahead(day, days + MARGIN_DAYS, country)
    within = ahead[:, :days]
    share = np.add.reduceat((within == 0).astype(np.float64), start, axis=1) / lengths
    unusual = within if daily else np.where(within == WEEKDAY, 0, within)
    reason = np.maximum.reduceat(unusual, start, axis=1)
    place = arrays.place[origin.rows][inverse]
    opened: dict[str, Floats | pl.Series] = {
        "open_share": share[place, steps],
        "closed_by": pl.Series(reason[place, steps], dtype=pl.Int8),
    }
    if not daily:
        return opened, {"holiday_open_share": share[place, steps]}
    at = day - arrays.opening.first_day
    begin = max(at - MARGIN_DAYS, 0)
    closed = np.concatenate([arrays.opening.closed[:, begin:at], ahead > 0], axis=1)
    before, after = _run_before(closed), _run_before(closed[:, ::-1])[:, ::-1]
    target = at - begin + steps
    return opened, {
        "holiday_closed_before": before[place, target],
        "holiday_closed_after": after[place, target],
    }


def _run_before(closed: Floats) -> Floats:
    """Count the closed days that end with the day before each day, at most `MARGIN_DAYS`."""
    position = np.arange(closed.shape[1])
    last_open = np.maximum.accumulate(np.where(closed, -1, position), axis=1)
    run = np.minimum(position - last_open, MARGIN_DAYS)
    return np.concatenate([np.zeros((len(closed), 1)), run[:, :-1]], axis=1)
