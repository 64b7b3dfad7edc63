"""Accuracy of predicted probabilities of a binary outcome: order, calibration and lift.

In: outcomes (0 or 1) and probabilities, aligned. Out: one number.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from features.typing import Floats
from training.metrics.arrays import as_floats


def roc_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Return the area under the ROC curve; NaN if only one class occurs."""
    y = as_floats(y)
    return float(sk.roc_auc_score(y, as_floats(p))) if 0 < y.mean() < 1 else float("nan")


def pr_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Return the average precision."""
    return float(sk.average_precision_score(as_floats(y), as_floats(p)))


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Return the mean negative log likelihood, in nats; p is clipped to [1e-6, 1 - 1e-6]."""
    return float(log_losses(y, p).mean())


def log_losses(y: ArrayLike, p: ArrayLike) -> Floats:
    """Return the negative log likelihood of each case, in nats; p is clipped as in `log_loss`."""
    y, p = as_floats(y), np.clip(as_floats(p), 1e-6, 1 - 1e-6)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Return the mean squared error of the probabilities."""
    return float(((as_floats(p) - as_floats(y)) ** 2).mean())


def ece(y: ArrayLike, p: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error, with bins of equal count (Naeini et al. 2015)."""
    y, p = as_floats(y), as_floats(p)
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(abs(y[part].sum() - p[part].sum()) for part in parts) / len(y))


def lift(y: ArrayLike, p: ArrayLike, share: float = 0.1) -> float:
    """Return the rate among the `share` of cases with the highest p over the rate of all."""
    y, p = as_floats(y), as_floats(p)
    top = np.argsort(-p, kind="stable")[: max(1, round(share * len(y)))]
    return float(y[top].mean() / y.mean())
