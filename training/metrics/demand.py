"""How far forecasts of demand are from what was sold."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.typing import Floats
from training.metrics.arrays import as_floats


def wape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Weighted absolute percentage error: sum |y - f| / sum y. Rewards forecasts that are low."""
    y, forecast = as_floats(y), as_floats(forecast)
    return float(np.abs(y - forecast).sum() / y.sum())


def bias(y: ArrayLike, forecast: ArrayLike) -> float:
    """Sum of (f - y) over sum y; above zero the forecast is too high."""
    y, forecast = as_floats(y), as_floats(forecast)
    return float((forecast - y).sum() / y.sum())


def squared_step(past: NDArray[np.float64]) -> Floats:
    """Mean squared step from one period to the next since a series' first sale (M5).

    Parameters
    ----------
    past
        What sold, shape (series, periods), in the order of time.

    Returns
    -------
    numpy.ndarray
        Shape (series,); not a number where a series never changed or has one period: against
        nothing no error can be scaled (Hyndman and Koehler 2006), so it has no RMSSE.
    """
    begun = np.cumsum(past > 0, axis=1) > 0
    steps = np.diff(past, axis=1) ** 2 * begun[:, :-1]
    total, count = steps.sum(axis=1), begun[:, :-1].sum(axis=1)
    found: Floats = np.divide(total, count, out=np.full(len(past), np.nan), where=total > 0)
    return found


def rmsse(y: NDArray[np.float64], forecast: NDArray[np.float64], scale: ArrayLike) -> Floats:
    """Root mean squared scaled error of each series (M5; Makridakis et al. 2022).

    Parameters
    ----------
    y, forecast
        Shape (series, periods).
    scale
        `squared_step` of each series' history; where it is not a number, neither is the error.
    """
    error = ((y - forecast) ** 2).mean(axis=1)
    found: Floats = np.sqrt(error / as_floats(scale))
    return found


def pinball(y: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Mean pinball loss of one quantile, in the unit of `y`."""
    error = as_floats(y) - as_floats(forecast)
    return float(np.maximum(quantile * error, (quantile - 1) * error).mean())


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of cases within [low, high]."""
    y = as_floats(y)
    return float(((y >= as_floats(low)) & (y <= as_floats(high))).mean())
