"""Errors of demand forecasts, of points, quantiles and intervals.

In: actual and forecast units, aligned. Out: one number, or one per series.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats
from training.metrics.arrays import as_floats


def wape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Return the weighted absolute percentage error, sum |y - f| / sum y.

    Its optimum is the median, so it favours forecasts below the mean of skewed demand.
    """
    y, forecast = as_floats(y), as_floats(forecast)
    return float(np.abs(y - forecast).sum() / y.sum())


def bias(y: ArrayLike, forecast: ArrayLike) -> float:
    """Return sum (f - y) / sum y; above zero the forecast is too high."""
    y, forecast = as_floats(y), as_floats(forecast)
    return float((forecast - y).sum() / y.sum())


def squared_step(past: Floats) -> Floats:
    """Return each series' mean squared change between periods since its first sale (M5).

    Parameters
    ----------
    past
        Units sold, shape (series, periods), in the order of time.

    Returns
    -------
    numpy.ndarray
        Shape (series,); NaN for a series that never changed or has one period, whose errors have
        no scale (Hyndman and Koehler 2006) and hence no RMSSE.
    """
    begun = np.cumsum(past > 0, axis=1) > 0
    steps = np.diff(past, axis=1) ** 2 * begun[:, :-1]
    total, count = steps.sum(axis=1), begun[:, :-1].sum(axis=1)
    scale: Floats = np.divide(total, count, out=np.full(len(past), np.nan), where=total > 0)
    return scale


def rmsse(y: Floats, forecast: Floats, scale: ArrayLike) -> Floats:
    """Return the root mean squared scaled error of each series (M5; Makridakis et al. 2022).

    Parameters
    ----------
    y, forecast
        Shape (series, periods).
    scale
        `squared_step` of each series' history; where it is NaN, so is the error.
    """
    error = ((y - forecast) ** 2).mean(axis=1)
    return np.asarray(np.sqrt(error / as_floats(scale)))


def pinball(y: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Return the mean pinball loss of one quantile, in the unit of `y`."""
    return float(pinball_losses(y, forecast, quantile).mean())


def pinball_losses(y: ArrayLike, forecast: ArrayLike, quantile: float) -> Floats:
    """Return the pinball loss of each case."""
    error = as_floats(y) - as_floats(forecast)
    return np.asarray(np.maximum(quantile * error, (quantile - 1) * error))


def wql(y: ArrayLike, quantiles: Mapping[float, ArrayLike]) -> float:
    """Return the weighted quantile loss: mean over levels of sum 2 * pinball loss / sum |y|.

    At the level .5 alone it is the WAPE of the median. Source: fev-bench (arXiv 2509.26468), with
    levels .1 to .9.
    """
    total = np.abs(as_floats(y)).sum()
    losses = [pinball_losses(y, forecast, level).sum() for level, forecast in quantiles.items()]
    return float(2 * np.mean(losses) / total)


def interval_width(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the width of intervals relative to the outcomes, sum (high - low) / sum |y|."""
    return float((as_floats(high) - as_floats(low)).sum() / np.abs(as_floats(y)).sum())


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of cases within [low, high]."""
    y = as_floats(y)
    return float(((y >= as_floats(low)) & (y <= as_floats(high))).mean())
