"""What the recommended lists are like besides right or wrong, for the recommender's report.

Lists and histories in; scores out: coverage, novelty, variety, the long tail, popularity and
price against the customer's own taste, these by what customers spend.
"""

from collections.abc import Mapping

import numpy as np

from features.dataset import Dataset
from features.typing import Bools, Ints
from training import metrics
from training.contract import Score
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL
from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.inputs.product_groups import LEVELS, level_of

K = 10


def beyond_accuracy(
    dataset: Dataset,
    known: Interactions,
    rows: Ints,
    shown: Ints,
    slices: Mapping[str, Bools],
) -> list[Score]:
    """Measure the first ten places of each customer's list.

    Parameters
    ----------
    rows
        Codes of the customers.
    shown
        Codes of products, one row a customer; -1 for places left empty. Products without a
        code of their own count as empty.
    slices
        Groups of the customers, by what they spend among others.
    """
    top = np.where(shown[:, :K] < known.shape[1], shown[:, :K], -1)
    by_customer = measured(dataset, known, rows, top)
    found = [
        Score("all", "coverage_10", metrics.catalogue_coverage(top, known.shape[1]), len(rows))
    ]
    for name, values in by_customer.items():
        groups = {"all": np.ones(len(rows), bool)}
        if name in ("popularity_lift_10", "price_gap_10"):
            groups |= {one: of for one, of in slices.items() if one.startswith("spending=")}
        for group, members in groups.items():
            judged = members & ~np.isnan(values)
            if judged.any():
                mean = float(values[judged].mean())
                found.append(Score(group, name, mean, int(judged.sum())))
    return found


def measured(
    dataset: Dataset, known: Interactions, rows: Ints, top: Ints
) -> dict[str, metrics.Floats]:
    """Measure each customer's list."""
    sales = known.by_product("baskets")
    recent = known.by_product("baskets_28d")
    share = recent / max(float(known.customer["customer_baskets_28d"].sum()), 1.0)
    found = {
        "novelty_10": metrics.novelty(top, share),
        "long_tail_10": metrics.long_tail_share(top, sales),
        "popularity_lift_10": metrics.popularity_lift(top, share, _own(known, share)[rows]),
    }
    groups = _groups(dataset, known)
    if groups:
        found["variety_10"] = metrics.intra_list_distance(top, groups)
    prices = relative_log_prices(known, groups[0][1] if groups else None)
    if prices is not None:
        found["price_gap_10"] = metrics.price_gap(top, prices, _own(known, prices)[rows])
    return found


def relative_log_prices(known: Interactions, kinds: Ints | None) -> metrics.Floats | None:
    """Log of each product's price over the mean price of its kind; None without any revenue."""
    if "spend" not in known.pairs:
        return None
    spend, units = known.by_product("spend"), known.by_product("units")
    priced = (spend > 0) & (units > 0)
    price = np.log(np.where(priced, spend, 1.0) / np.where(priced, units, 1.0))
    of = np.zeros(known.shape[1], np.int64) if kinds is None else kinds + 1
    size = int(of.max(initial=0)) + 1
    total = np.bincount(of[priced], weights=price[priced], minlength=size)
    mean = total / np.maximum(np.bincount(of[priced], minlength=size), 1)
    return np.asarray(np.where(priced, price - mean[of], np.nan))


def _own(known: Interactions, values: metrics.Floats) -> metrics.Floats:
    """Mean of a product's value over the baskets in which each customer bought it."""
    weight = np.where(np.isnan(values[known.cols]), 0.0, known.pairs["baskets"])
    worth = weight * np.nan_to_num(values[known.cols])
    customers = known.shape[0]
    total = np.bincount(known.rows, weights=worth, minlength=customers)
    count = np.bincount(known.rows, weights=weight, minlength=customers)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1e-9), np.nan))


def _groups(dataset: Dataset, known: Interactions) -> list[tuple[float, Ints]]:
    """Levels of the assortment with each product's group; -1 for products without one."""
    return [
        (SIMILARITY_BY_LEVEL[level], level_of(dataset, known, level) - 1)
        for level in (*LEVELS, "department")
        if dataset.has("products", level)
    ]
