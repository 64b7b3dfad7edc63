"""How far forecasts of demand are from what was sold."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.metrics.arrays import Floats, as_floats


def wape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Weighted absolute percentage error: sum |y - f| / sum y. Rewards forecasts that are low."""
    y, forecast = as_floats(y), as_floats(forecast)
    return float(np.abs(y - forecast).sum() / y.sum())


def bias(y: ArrayLike, forecast: ArrayLike) -> float:
    """Sum of (f - y) over sum y; above zero the forecast is too high."""
    y, forecast = as_floats(y), as_floats(forecast)
    return float((forecast - y).sum() / y.sum())


def rmsse(y: NDArray[np.float64], forecast: NDArray[np.float64], scale: ArrayLike) -> Floats:
    """Root mean squared scaled error of each series (M5; Makridakis et al. 2022).

    Parameters
    ----------
    y, forecast
        Shape (series, periods).
    scale
        Mean squared one-step difference of each series' history, shape (series,).
    """
    error = ((y - forecast) ** 2).mean(axis=1)
    found: Floats = np.sqrt(error / np.maximum(as_floats(scale), 1e-9))
    return found


def pinball(y: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Mean pinball loss of one quantile, in the unit of `y`."""
    error = as_floats(y) - as_floats(forecast)
    return float(np.maximum(quantile * error, (quantile - 1) * error).mean())


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of cases within [low, high]."""
    y = as_floats(y)
    return float(((y >= as_floats(low)) & (y <= as_floats(high))).mean())
