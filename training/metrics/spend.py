"""Accuracy of predicted spend: order of customers, and level along the predictions.

In: actual and predicted values, aligned. Out: one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats
from training.metrics.arrays import as_floats


def normalised_gini(y: ArrayLike, forecast: ArrayLike) -> float:
    """Return the Gini coefficient of `y` in the order of the forecast over that in its own order.

    1 for the true order, 0 for a random one; NaN if all values are equal.
    """
    y, forecast = as_floats(y), as_floats(forecast)
    best = _gini(y, y)
    return _gini(y, forecast) / best if best > 0 else float("nan")


def _gini(y: Floats, forecast: Floats) -> float:
    order = np.argsort(-forecast, kind="stable")
    share = np.cumsum(y[order]) / max(y.sum(), 1e-12)
    return float(2 * share.mean() - (len(y) + 1) / len(y))


def decile_error(y: ArrayLike, forecast: ArrayLike, bins: int = 10) -> float:
    """Return sum |sum y - sum forecast| over `bins` of equal count by forecast, over sum y."""
    y, forecast = as_floats(y), as_floats(forecast)
    parts = np.array_split(np.argsort(forecast, kind="stable"), bins)
    return float(sum(abs(y[part].sum() - forecast[part].sum()) for part in parts) / y.sum())
