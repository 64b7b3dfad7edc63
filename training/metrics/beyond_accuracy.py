"""Properties of lists besides accuracy: coverage, novelty, diversity, popularity and price.

In: `shown`, codes of products, one row per customer, best first, -1 for empty ranks. Out: one value
per list, NaN for lists without known products.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Bools, Floats, Ints
from training.metrics.arrays import as_floats


def catalogue_coverage(shown: Ints, products: int) -> float:
    """Return the share of all products that occur in any list."""
    return len(np.unique(shown[shown >= 0])) / products


def novelty(shown: Ints, share: ArrayLike) -> Floats:
    """Return the mean self-information of each list's products, in bits.

    -log2 of the share of baskets with the product; products in no basket get half the least
    share. Source: Zhou et al. 2010 (PNAS 107).
    """
    shares = as_floats(share)
    least = shares[shares > 0].min(initial=1.0) / 2
    return _mean(shown, -np.log2(np.maximum(shares, least)))


def intra_list_distance(shown: Ints, groups: Sequence[tuple[float, Ints]]) -> Floats:
    """Return the mean distance of pairs in each list: 0 if all are of one group, 1 if none are.

    Parameters
    ----------
    groups
        Levels of the assortment: similarity of products of one group, and the group of each
        product (below zero for none). The highest similarity of a pair counts.
    """
    rows, length = shown.shape
    total, pairs = np.zeros(rows), np.zeros(rows)
    for left in range(length):
        for right in range(left + 1, length):
            both = (shown[:, left] >= 0) & (shown[:, right] >= 0)
            similar = np.zeros(rows)
            for similarity, group in groups:
                first, second = group[shown[:, left]], group[shown[:, right]]
                similar = np.where(
                    (first == second) & (first >= 0), np.maximum(similar, similarity), similar
                )
            total += both * (1 - similar)
            pairs += both
    return np.asarray(np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan))


def long_tail_share(shown: Ints, sales: ArrayLike, head: float = 0.8) -> Floats:
    """Return the share of each list in the long tail; see `long_tail`."""
    return _mean(shown, long_tail(sales, head).astype(np.float64))


def long_tail(sales: ArrayLike, head: float = 0.8) -> Bools:
    """Mark the products outside the best sellers that make up the share `head` of all sales."""
    units = as_floats(sales)
    order = np.argsort(-units, kind="stable")
    before = np.cumsum(units[order]) - units[order]
    marked = np.zeros(len(units), bool)
    marked[order] = before >= head * units.sum()
    return marked


def popularity_lift(shown: Ints, sales: ArrayLike, bought: ArrayLike) -> Floats:
    """Return how much more popular each list is than the customer's purchases; 0 for equal.

    The difference is divided by the mean over all customers, so that the mean of the values is the
    popularity lift of Abdollahpouri et al. 2020. A ratio per customer is unbounded for customers
    who buy products that nobody else buys.

    Parameters
    ----------
    sales
        Popularity of each product.
    bought
        Mean popularity of each customer's purchases.
    """
    usual = as_floats(bought)
    return np.asarray((_mean(shown, as_floats(sales)) - usual) / np.nanmean(usual))


def price_gap(shown: Ints, log_price: ArrayLike, bought: ArrayLike) -> Floats:
    """Return how much dearer each list is than the customer's purchases; 0 for equal prices.

    Parameters
    ----------
    log_price
        Logarithm of each product's price relative to its group; NaN if unknown.
    bought
        Mean of it over each customer's purchases.
    """
    return np.asarray(np.exp(_mean(shown, as_floats(log_price)) - as_floats(bought)) - 1)


def _mean(shown: Ints, values: Floats) -> Floats:
    """Return the mean of each list over filled ranks with known values."""
    listed = np.where(shown >= 0, values[shown], np.nan)
    known = ~np.isnan(listed)
    count = known.sum(axis=1)
    total = np.where(known, listed, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
