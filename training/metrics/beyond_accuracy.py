"""What lists are like besides right or wrong: how varied, how new, whom they serve.

`shown` holds codes of products, one row a customer, best first; -1 for places left empty.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.typing import Floats
from training.metrics.arrays import as_floats

Codes = NDArray[np.int64]


def catalogue_coverage(shown: Codes, products: int) -> float:
    """Share of all products that anyone is shown."""
    return len(np.unique(shown[shown >= 0])) / products


def novelty(shown: Codes, share: ArrayLike) -> Floats:
    """Mean surprise of each list, in bits: -log2 of the share of baskets with the product.

    Source: Zhou et al. 2010 (PNAS 107). Products in no basket count as if they were in half
    as many as the rarest.
    """
    of = as_floats(share)
    least = of[of > 0].min(initial=1.0) / 2
    return _mean(shown, -np.log2(np.maximum(of, least)))


def intra_list_distance(shown: Codes, groups: Sequence[tuple[float, Codes]]) -> Floats:
    """Mean distance between the products of each list, 0 for all of one kind, 1 for none alike.

    Parameters
    ----------
    groups
        Levels of the assortment: how alike two products of one group are, and the group of
        each product (below zero for none). The most alike common group of a pair counts.
    """
    rows, length = shown.shape
    total, pairs = np.zeros(rows), np.zeros(rows)
    for one in range(length):
        for other in range(one + 1, length):
            both = (shown[:, one] >= 0) & (shown[:, other] >= 0)
            alike = np.zeros(rows)
            for likeness, of in groups:
                first, second = of[shown[:, one]], of[shown[:, other]]
                alike = np.where(
                    (first == second) & (first >= 0), np.maximum(alike, likeness), alike
                )
            total += both * (1 - alike)
            pairs += both
    return np.asarray(np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan))


def long_tail_share(shown: Codes, sales: ArrayLike, head: float = 0.8) -> Floats:
    """Share of each list outside the best-selling products that make up `head` of all sales."""
    return _mean(shown, long_tail(sales, head).astype(np.float64))


def long_tail(sales: ArrayLike, head: float = 0.8) -> NDArray[np.bool_]:
    """Mark the products outside the best-selling ones that make up `head` of all sales."""
    of = as_floats(sales)
    order = np.argsort(-of, kind="stable")
    before = np.cumsum(of[order]) - of[order]
    marked = np.zeros(len(of), bool)
    marked[order] = before >= head * of.sum()
    return marked


def popularity_lift(shown: Codes, sales: ArrayLike, own: ArrayLike) -> Floats:
    """How much more popular what each customer is shown is than what they buy; 0 for as much.

    In parts of what customers buy on average, so that the mean is the popularity lift of
    Abdollahpouri et al. 2020; a ratio of each customer's own has no mean where somebody buys
    what nobody else does.

    Parameters
    ----------
    sales
        Popularity of each product.
    own
        Mean popularity of what each customer bought.
    """
    bought = as_floats(own)
    return np.asarray((_mean(shown, as_floats(sales)) - bought) / np.nanmean(bought))


def price_gap(shown: Codes, log_price: ArrayLike, own: ArrayLike) -> Floats:
    """How much dearer what each customer is shown is than what they buy; 0 for as dear.

    Parameters
    ----------
    log_price
        Log of each product's price over that of its kind; NaN where unknown.
    own
        Mean of it over what each customer bought.
    """
    return np.asarray(np.exp(_mean(shown, as_floats(log_price)) - as_floats(own)) - 1)


def _mean(shown: Codes, values: Floats) -> Floats:
    """Mean over each list, of the places that are filled and the values that are known."""
    found = np.where(shown >= 0, values[shown], np.nan)
    known = ~np.isnan(found)
    count = known.sum(axis=1)
    total = np.where(known, found, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
