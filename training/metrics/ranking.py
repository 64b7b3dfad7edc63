"""Accuracy of ranked lists of products: share of relevant products found, and their ranks.

In: per list, whether each product is relevant, best first. Out: one value per list.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Bools, Floats
from training.metrics.arrays import as_floats


def recall_at_k(hits: Bools, truth_sizes: ArrayLike, k: int) -> Floats:
    """Return the share of each customer's relevant products among the first `k`.

    Parameters
    ----------
    hits
        Whether each listed product is relevant, shape (customers, length), best first.
    truth_sizes
        Number of relevant products of each customer, at least one.
    """
    return np.asarray(hits[:, :k].sum(axis=1) / as_floats(truth_sizes))


def precision_at_k(hits: Bools, k: int) -> Floats:
    """Return the share of the first `k` ranks that hold a relevant product."""
    return np.asarray(hits[:, :k].sum(axis=1) / k)


def ndcg_at_k(hits: Bools, truth_sizes: Sequence[int] | ArrayLike, k: int) -> Floats:
    """Return the discounted cumulative gain over that of min(relevant, k) hits at the top."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    length = min(k, hits.shape[1])
    gain = as_floats(hits[:, :length].astype(np.float64) @ discounts[:length])
    ideal = as_floats(np.cumsum(discounts)[np.minimum(np.asarray(truth_sizes, dtype=int), k) - 1])
    return as_floats(gain / ideal)


def hit_rate_at_k(hits: Bools, k: int) -> Floats:
    """Return 1 for lists with a relevant product among the first `k`, else 0."""
    return as_floats(hits[:, :k].any(axis=1))
