"""Whether lists of products hold what was bought, and how far in front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.typing import Floats
from training.metrics.arrays import as_floats


def recall_at_k(hits: NDArray[np.bool_], truth_sizes: ArrayLike, k: int) -> Floats:
    """Share of each customer's true products among the first `k` shown.

    Parameters
    ----------
    hits
        Whether each shown product is true, in order, shape (customers, shown).
    truth_sizes
        Number of true products a customer, at least one.
    """
    found: Floats = hits[:, :k].sum(axis=1) / as_floats(truth_sizes)
    return found


def precision_at_k(hits: NDArray[np.bool_], k: int) -> Floats:
    """Share of the first `k` places that hold a true product."""
    found: Floats = hits[:, :k].sum(axis=1) / k
    return found


def ndcg_at_k(hits: NDArray[np.bool_], truth_sizes: Sequence[int] | ArrayLike, k: int) -> Floats:
    """Discounted gain over that of the best order, min(|truth|, k) hits in front."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    shown = min(k, hits.shape[1])
    gained = as_floats(hits[:, :shown].astype(np.float64) @ discounts[:shown])
    ideal = as_floats(np.cumsum(discounts)[np.minimum(np.asarray(truth_sizes, dtype=int), k) - 1])
    return as_floats(gained / ideal)


def hit_rate_at_k(hits: NDArray[np.bool_], k: int) -> Floats:
    """One where at least one of the first `k` is true, else zero."""
    return as_floats(hits[:, :k].any(axis=1))


def bootstrap_interval(
    values: Floats, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean by bootstrap over cases; of differences, a paired interval.

    Parameters
    ----------
    values
        One a case; NaN where a case is not judged.

    Notes
    -----
    Percentiles of the means of resampled cases (Efron 1979).
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = [known[rng.integers(0, len(known), len(known))].mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
