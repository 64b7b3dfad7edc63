"""Metrics of recommended lists beyond accuracy.

Lists and interactions in; coverage, novelty, diversity, share of the long tail, and popularity
and price relative to the customer's own purchases out.
"""

from collections.abc import Mapping

import numpy as np

from features.dataset import Dataset
from features.typing import Bools, Floats, Ints
from training import metrics
from training.contract import Score
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL
from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.inputs.product_groups import LEVELS, group_codes

K = 10
# Metrics that are also reported by how much customers spend.
BY_SPENDING = ("popularity_lift_10", "price_gap_10")


def beyond_accuracy(
    dataset: Dataset,
    interactions: Interactions,
    rows: Ints,
    shown: Ints,
    slices: Mapping[str, Bools],
) -> list[Score]:
    """Compute scores of the first ten ranks of each customer's list.

    Parameters
    ----------
    rows
        Codes of the customers.
    shown
        Codes of products, one row per customer; -1 for empty ranks. Products without a code in
        `interactions` count as empty.
    slices
        Groups of the customers, by spending among others.
    """
    products = interactions.shape[1]
    top = np.where(shown[:, :K] < products, shown[:, :K], -1)
    coverage = metrics.catalogue_coverage(top, products)
    scores = [Score("all", "coverage_10", coverage, len(rows))]
    for name, values in list_metrics(dataset, interactions, rows, top).items():
        groups = {"all": np.ones(len(rows), bool)}
        if name in BY_SPENDING:
            groups |= {
                group: members for group, members in slices.items() if group.startswith("spending=")
            }
        for group, members in groups.items():
            applies = members & ~np.isnan(values)
            if applies.any():
                mean = float(values[applies].mean())
                scores.append(Score(group, name, mean, int(applies.sum())))
    return scores


def list_metrics(
    dataset: Dataset, interactions: Interactions, rows: Ints, top: Ints
) -> dict[str, Floats]:
    """Compute metrics of each customer's list, by metric."""
    sales = interactions.sum_by_product("baskets")
    recent = interactions.sum_by_product("baskets_28d")
    customer_baskets = interactions.customer_features["customer_baskets_28d"]
    share = recent / max(float(customer_baskets.sum()), 1.0)
    usual_share = _mean_over_purchases(interactions, share)[rows]
    values = {
        "novelty_10": metrics.novelty(top, share),
        "long_tail_10": metrics.long_tail_share(top, sales),
        "popularity_lift_10": metrics.popularity_lift(top, share, usual_share),
    }
    groups = _levels(dataset, interactions)
    if groups:
        values["diversity_10"] = metrics.intra_list_distance(top, groups)
    prices = relative_log_prices(interactions, groups[0][1] if groups else None)
    if prices is not None:
        usual_price = _mean_over_purchases(interactions, prices)[rows]
        values["price_gap_10"] = metrics.price_gap(top, prices, usual_price)
    return values


def relative_log_prices(interactions: Interactions, categories: Ints | None) -> Floats | None:
    """Log of each product's price, less the mean of its category; None without revenue.

    Parameters
    ----------
    categories
        Category code of each product, -1 for none; None if all are one category.
    """
    if "spend" not in interactions.features:
        return None
    spend, units = interactions.sum_by_product("spend"), interactions.sum_by_product("units")
    priced = (spend > 0) & (units > 0)
    price = np.log(np.where(priced, spend, 1.0) / np.where(priced, units, 1.0))
    products = interactions.shape[1]
    category = np.zeros(products, np.int64) if categories is None else categories + 1
    size = int(category.max(initial=0)) + 1
    total = np.bincount(category[priced], weights=price[priced], minlength=size)
    mean = total / np.maximum(np.bincount(category[priced], minlength=size), 1)
    return np.asarray(np.where(priced, price - mean[category], np.nan))


def _mean_over_purchases(interactions: Interactions, values: Floats) -> Floats:
    """Average a value of products over each customer's baskets with them; NaN without any."""
    by_pair = values[interactions.cols]
    weight = np.where(np.isnan(by_pair), 0.0, interactions.features["baskets"])
    customers = interactions.shape[0]
    weighted = weight * np.nan_to_num(by_pair)
    total = np.bincount(interactions.rows, weights=weighted, minlength=customers)
    count = np.bincount(interactions.rows, weights=weight, minlength=customers)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1e-9), np.nan))


def _levels(dataset: Dataset, interactions: Interactions) -> list[tuple[float, Ints]]:
    """Similarity of two products of a group, and each product's group, by level; -1 for none."""
    return [
        (SIMILARITY_BY_LEVEL[level], group_codes(dataset, interactions, level) - 1)
        for level in (*LEVELS, "department")
        if dataset.has("products", level)
    ]
