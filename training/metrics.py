"""Measures of quality: pure functions on arrays; used by every task's judge.

Arrays are one-dimensional and aligned; `y` is what happened, the other what was said.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

Floats = NDArray[np.float64]


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


# Demand


def wape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Weighted absolute percentage error: sum |y - f| / sum y. Rewards forecasts that are low."""
    y, forecast = _floats(y), _floats(forecast)
    return float(np.abs(y - forecast).sum() / y.sum())


def bias(y: ArrayLike, forecast: ArrayLike) -> float:
    """Sum of (f - y) over sum y; above zero the forecast is too high."""
    y, forecast = _floats(y), _floats(forecast)
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
    found: Floats = np.sqrt(error / np.maximum(_floats(scale), 1e-9))
    return found


def pinball(y: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Mean pinball loss of one quantile, in the unit of `y`."""
    error = _floats(y) - _floats(forecast)
    return float(np.maximum(quantile * error, (quantile - 1) * error).mean())


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of cases within [low, high]."""
    y = _floats(y)
    return float(((y >= _floats(low)) & (y <= _floats(high))).mean())


# Churn


def roc_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Area under the ROC curve; NaN where only one class occurs."""
    y = _floats(y)
    return float(sk.roc_auc_score(y, _floats(p))) if 0 < y.mean() < 1 else float("nan")


def pr_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Average precision."""
    return float(sk.average_precision_score(_floats(y), _floats(p)))


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log likelihood, in nats; probabilities are kept 1e-6 away from 0 and 1."""
    p = np.clip(_floats(p), 1e-6, 1 - 1e-6)
    return float(sk.log_loss(_floats(y), p, labels=[0.0, 1.0]))


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared error of a probability."""
    return float(((_floats(p) - _floats(y)) ** 2).mean())


def ece(y: ArrayLike, p: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error, bins of equal count (Naeini et al. 2015)."""
    y, p = _floats(y), _floats(p)
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(abs(y[part].sum() - p[part].sum()) for part in parts) / len(y))


def lift(y: ArrayLike, p: ArrayLike, share: float = 0.1) -> float:
    """Rate among the `share` with the highest scores over the rate among all."""
    y, p = _floats(y), _floats(p)
    top = np.argsort(-p, kind="stable")[: max(1, round(share * len(y)))]
    return float(y[top].mean() / y.mean())


# Next purchase


def concordance(time: ArrayLike, event: ArrayLike, expected: ArrayLike) -> float:
    """Share of comparable pairs in the right order (Harrell 1982); right-censored times.

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

    return float(concordance_index(_floats(time), _floats(expected), _floats(event)))


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
    time, event, grid = _floats(time), _floats(event), _floats(grid)
    alive = (time[:, None] > grid[None, :]) | ((event[:, None] == 0) & (time[:, None] >= grid))
    return float(((survival - alive) ** 2).mean())


# Recommendations


def recall_at_k(hits: NDArray[np.bool_], truth_sizes: ArrayLike, k: int) -> Floats:
    """Share of each customer's true products among the first `k` shown.

    Parameters
    ----------
    hits
        Whether each shown product is true, in order, shape (customers, shown).
    truth_sizes
        Number of true products a customer, at least one.
    """
    found: Floats = hits[:, :k].sum(axis=1) / _floats(truth_sizes)
    return found


def precision_at_k(hits: NDArray[np.bool_], k: int) -> Floats:
    """Share of the first `k` places that hold a true product."""
    found: Floats = hits[:, :k].sum(axis=1) / k
    return found


def ndcg_at_k(hits: NDArray[np.bool_], truth_sizes: Sequence[int] | ArrayLike, k: int) -> Floats:
    """Discounted gain over that of the best order, min(|truth|, k) hits in front."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    shown = min(k, hits.shape[1])
    gained = _floats(hits[:, :shown].astype(np.float64) @ discounts[:shown])
    ideal = _floats(np.cumsum(discounts)[np.minimum(np.asarray(truth_sizes, dtype=int), k) - 1])
    return _floats(gained / ideal)


def hit_rate_at_k(hits: NDArray[np.bool_], k: int) -> Floats:
    """One where at least one of the first `k` is true, else zero."""
    return _floats(hits[:, :k].any(axis=1))
