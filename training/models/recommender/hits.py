"""Comparison of recommended lists with later purchases, by customer.

Recommendations and the records after `as_of` in; hits by rank and metrics by customer out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.interactions.builder import next_baskets
from features.memo import memo
from features.typing import Bools, Floats, Ints
from training import metrics
from training.models.recommender.inputs.interactions import (
    Interactions,
    find_sorted,
    interactions_at,
)

# Products that lists and purchases are compared on: all, those that the customer never bought,
# or those first sold within four weeks.
ALL, NEW_TO_CUSTOMER, NEW_PRODUCTS = "all", "new_to_customer", "new_products"
# Largest number of customers that are evaluated, evenly spaced: the mean NDCG of so many is known
# to .003, and methods are compared customer by customer.
MAX_EVALUATED = 10_000


@dataclass(frozen=True)
class Truth:
    """Purchases of the evaluated customers within the horizon.

    Attributes
    ----------
    rows
        Codes of the customers, ascending.
    size
        Number of product codes: those of `Interactions`, then those of `rare`.
    rare
        Ids of purchased products without a code in `Interactions`, ascending.
    next_basket, window
        Customer code x size + product code of purchases in the next basket, and in all baskets
        of the horizon; ascending.
    """

    rows: Ints
    size: int
    rare: NDArray[np.str_]
    next_basket: Ints
    window: Ints


@dataclass(frozen=True)
class ListHits:
    """Recommended products and purchases, one row per evaluated customer.

    Attributes
    ----------
    rows
        Codes of the customers.
    shown
        Codes of the products by rank, shape (customers, ranks); -1 for empty ranks.
    next_hits, window_hits
        Whether each product was in the next basket, and in any basket of the horizon.
    bought_before
        Whether the customer had bought each product before.
    next_size, window_size, repeat_size
        Number of products in the next basket, in all baskets of the horizon, and in the next
        basket that the customer had bought before.
    """

    rows: Ints
    shown: Ints
    next_hits: Bools
    window_hits: Bools
    bought_before: Bools
    next_size: Ints
    window_size: Ints
    repeat_size: Ints


def evaluated_customers(interactions: Interactions) -> Ints:
    """Codes of the customers that are evaluated if they buy: all, or `MAX_EVALUATED` of them."""
    customers = interactions.shape[0]
    if customers <= MAX_EVALUATED:
        return np.arange(customers)
    return np.linspace(0, customers - 1, MAX_EVALUATED).astype(np.int64)


def truth_at(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> Truth:
    """Collect the purchases after `as_of`, once for all methods."""
    return _truth(dataset, as_of, options["horizon_days"])


@memo()
def _truth(dataset: Dataset, as_of: datetime, days: int) -> Truth:
    interactions = interactions_at(dataset, as_of)
    bought = next_baskets(dataset, as_of, days).collect().to_polars()
    buyers = interactions.customer_codes(bought.get_column("customer_id"))
    distinct = bought.get_column("product_id").unique().sort().to_numpy().astype(str)
    rare = distinct[find_sorted(interactions.products, distinct) < 0]
    size = len(interactions.products) + len(rare)
    ids = bought.get_column("product_id").to_numpy().astype(str)
    evaluated = find_sorted(evaluated_customers(interactions), buyers) >= 0
    keys = buyers * size + _product_codes(interactions.products, rare, ids)
    return Truth(
        np.unique(buyers[evaluated]),
        size,
        rare,
        np.sort(keys[evaluated & bought.get_column("is_next").to_numpy()]),
        np.sort(keys[evaluated]),
    )


def list_hits(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    predictions: pl.DataFrame,
    ranks: int = 20,
    *,
    by: str | None = None,
    among: str = ALL,
) -> ListHits:
    """Compare the first `ranks` products of each list with later purchases.

    Parameters
    ----------
    by
        Column that orders products, descending; `rank`, ascending, by default and if predictions
        lack the column.
    among
        `ALL` products, those `NEW_TO_CUSTOMER`, or `NEW_PRODUCTS`: lists and purchases are
        restricted to these, customers are not.
    """
    interactions = interactions_at(dataset, as_of)
    truth = truth_at(dataset, as_of, options)
    size = truth.size
    bought = interactions.rows * size + interactions.cols
    shown = _shown_products(interactions, truth, predictions, bought, ranks, by, among)
    keys = np.where(shown >= 0, truth.rows[:, None] * size + shown, -1)
    next_basket, window = (
        purchases[_is_among(purchases, size, interactions, bought, among)]
        for purchases in (truth.next_basket, truth.window)
    )
    repeated = next_basket[find_sorted(bought, next_basket) >= 0]

    def hits(purchases: Ints) -> Bools:
        return find_sorted(purchases, keys.ravel()).reshape(keys.shape) >= 0

    return ListHits(
        truth.rows,
        shown,
        hits(next_basket),
        hits(window),
        hits(bought),
        _counts(next_basket // size, truth.rows),
        _counts(window // size, truth.rows),
        _counts(repeated // size, truth.rows),
    )


def _shown_products(
    interactions: Interactions,
    truth: Truth,
    predictions: pl.DataFrame,
    bought: Ints,
    ranks: int,
    by: str | None,
    among: str,
) -> Ints:
    """Return the product codes of `ListHits.shown`."""
    customers = interactions.customer_codes(predictions.get_column("customer_id"))
    position = find_sorted(truth.rows, customers)
    ids = predictions.get_column("product_id").to_numpy().astype(str)
    products = _product_codes(interactions.products, truth.rare, ids)
    if by is not None and by in predictions.columns:
        order = -predictions.get_column(by).fill_null(-np.inf).to_numpy()
    else:
        order = predictions.get_column("rank").to_numpy().astype(np.float64)
    known = (position >= 0) & (products >= 0)
    keys = np.where(known, truth.rows[position] * truth.size + products, -1)
    kept = np.flatnonzero((keys >= 0) & _is_among(keys, truth.size, interactions, bought, among))
    kept = kept[np.lexsort((products[kept], order[kept], position[kept]))]
    customer = position[kept]
    rank = np.arange(len(kept)) - np.searchsorted(customer, customer)
    first = rank < ranks
    shown = np.full((len(truth.rows), ranks), -1, np.int64)
    shown[customer[first], rank[first]] = products[kept][first]
    return shown


def customer_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Compute metrics by customer: of the next basket, of the horizon, and of new products.

    Returns
    -------
    dict
        By metric, one value per customer, in the same order for every method; NaN for customers
        to whom a metric does not apply.
    """
    arguments = (dataset, as_of, options, predictions)
    values: dict[str, Floats] = {}
    hits = list_hits(*arguments)
    for k in (10, 20):
        values[f"ndcg_{k}"] = metrics.ndcg_at_k(hits.next_hits, hits.next_size, k)
        values[f"recall_{k}"] = metrics.recall_at_k(hits.next_hits, hits.next_size, k)
        values[f"hit_rate_{k}"] = metrics.hit_rate_at_k(hits.next_hits, k)
    hits = list_hits(*arguments, by="month")
    values["window_ndcg_10"] = metrics.ndcg_at_k(hits.window_hits, hits.window_size, 10)
    values["window_recall_10"] = metrics.recall_at_k(hits.window_hits, hits.window_size, 10)
    values["window_precision_10"] = metrics.precision_at_k(hits.window_hits, 10)
    hits = list_hits(*arguments, by="explore", among=NEW_TO_CUSTOMER)
    values["explore_precision_10"] = metrics.precision_at_k(hits.window_hits, 10)
    values["explore_hit_rate_10"] = metrics.hit_rate_at_k(hits.window_hits, 10)
    hits = list_hits(*arguments, by="month", among=NEW_PRODUCTS)
    hit = metrics.hit_rate_at_k(hits.window_hits, 10)
    # The metric applies to customers who bought a new product.
    values["new_product_hit_rate_10"] = np.where(hits.window_size > 0, hit, np.nan)
    return values


def _is_among(keys: Ints, size: int, interactions: Interactions, bought: Ints, among: str) -> Bools:
    """Whether pairs of customer and product are among the compared ones."""
    if among == NEW_TO_CUSTOMER:
        return find_sorted(bought, keys) < 0
    if among == NEW_PRODUCTS:
        return find_sorted(interactions.new_products, keys % size) >= 0
    return np.ones(len(keys), bool)


def _product_codes(common: NDArray[np.str_], rare: NDArray[np.str_], ids: NDArray[np.str_]) -> Ints:
    """Codes of products; those of `rare` follow those of `common`; -1 for neither."""
    code, rare_code = find_sorted(common, ids), find_sorted(rare, ids)
    return np.where(code >= 0, code, np.where(rare_code >= 0, len(common) + rare_code, -1))


def _counts(owners: Ints, rows: Ints) -> Ints:
    """Count the entries of each of `rows`."""
    return np.bincount(find_sorted(rows, owners), minlength=len(rows))
