"""How well predicted spend sorts customers, and whether its level is right all along."""

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats
from training.metrics.arrays import as_floats


def normalised_gini(y: ArrayLike, forecast: ArrayLike) -> float:
    """Gini coefficient of `y` sorted by the forecast, over that of `y` sorted by itself.

    1 where the forecast sorts as the truth does, 0 where it sorts at random; NaN where all are
    alike.
    """
    y, forecast = as_floats(y), as_floats(forecast)
    best = _gini(y, y)
    return _gini(y, forecast) / best if best > 0 else float("nan")


def _gini(y: Floats, forecast: Floats) -> float:
    order = np.argsort(-forecast, kind="stable")
    share = np.cumsum(y[order]) / max(y.sum(), 1e-12)
    return float(2 * share.mean() - (len(y) + 1) / len(y))


def decile_error(y: ArrayLike, forecast: ArrayLike, bins: int = 10) -> float:
    """Sum over tenths of the customers, by forecast, of |what was said - what came| / all came."""
    y, forecast = as_floats(y), as_floats(forecast)
    parts = np.array_split(np.argsort(forecast, kind="stable"), bins)
    return float(sum(abs(y[part].sum() - forecast[part].sum()) for part in parts) / y.sum())
