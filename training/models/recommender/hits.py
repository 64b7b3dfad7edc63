"""Recommended lists laid beside what was bought: truth and hits by customer.

Predictions and the records after `as_of` in; arrays of hits out. The recommender's task and
its benchmark judge by these.
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
from features.typing import Bools, Ints
from training import metrics
from training.models.recommender.inputs import interactions as histories
from training.models.recommender.inputs.interactions import Interactions, find_sorted

# Of what a list and the truth beside it are made: everything, what the customer never bought,
# or products first sold within four weeks.
ALL, UNSEEN, NEW_PRODUCTS = "all", "unseen", "new_products"
# Of more customers an even pick is judged: their mean NDCG is known to .003, and methods are
# compared customer by customer.
MOST_JUDGED = 10_000


@dataclass(frozen=True)
class Truth:
    """What the judged customers bought within the horizon.

    Attributes
    ----------
    rows
        Codes of the customers, ascending.
    size
        Codes of products are below this; products without a code of their own follow.
    rare
        Ids of those, in order.
    following, window
        Pairs, row code x size + product: of the next basket, and of all; ascending.
    """

    rows: Ints
    size: int
    rare: NDArray[np.str_]
    following: Ints
    window: Ints


@dataclass(frozen=True)
class Outcome:
    """What was shown beside what was bought, one row a judged customer.

    Attributes
    ----------
    rows
        Codes of the customers.
    shown
        Codes of the products shown, best first; -1 for places left empty.
    next_hits, window_hits
        Whether each shown product was in the next basket, and in any of the horizon.
    bought_before
        Whether each shown product had been bought before.
    next_size, window_size, repeat_size
        Products in the next basket, in all of them, and those of the next bought before.
    """

    rows: Ints
    shown: Ints
    next_hits: Bools
    window_hits: Bools
    bought_before: Bools
    next_size: Ints
    window_size: Ints
    repeat_size: Ints


def asked_about(known: Interactions) -> Ints:
    """Codes of the customers who are judged if they buy: all, or `MOST_JUDGED` of them."""
    customers = known.shape[0]
    if customers <= MOST_JUDGED:
        return np.arange(customers)
    return np.linspace(0, customers - 1, MOST_JUDGED).astype(np.int64)


def truth_at(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> Truth:
    """Collect what was bought, once for all methods that are judged then."""
    return _truth(dataset, as_of, options["horizon_days"])


@memo()
def _truth(dataset: Dataset, as_of: datetime, days: int) -> Truth:
    known = histories.known_at(dataset, as_of)
    bought = next_baskets(dataset, as_of, days).collect().to_polars()
    buyers = known.codes(bought.get_column("customer_id"))
    everything = bought.get_column("product_id").unique().sort().to_numpy().astype(str)
    rare = everything[find_sorted(known.products, everything) < 0]
    size = len(known.products) + len(rare)
    ids = bought.get_column("product_id").to_numpy().astype(str)
    judged = find_sorted(asked_about(known), buyers) >= 0
    keys = buyers * size + _codes(known.products, rare, ids)
    return Truth(
        np.unique(buyers[judged]),
        size,
        rare,
        np.sort(keys[judged & bought.get_column("is_next").to_numpy()]),
        np.sort(keys[judged]),
    )


def outcome(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    predictions: pl.DataFrame,
    shown: int = 20,
    *,
    by: str | None = None,
    among: str = ALL,
) -> Outcome:
    """Lay the first `shown` places beside what was bought.

    Parameters
    ----------
    by
        The column that orders the places, falling; `rank` by default, and where a method has
        no such column.
    among
        `ALL` products, those `UNSEEN` by the customer, or `NEW_PRODUCTS`: places and truth
        are of these alone; customers stay.
    """
    known = histories.known_at(dataset, as_of)
    truth = truth_at(dataset, as_of, options)
    size = truth.size
    before = known.rows * size + known.cols
    at = find_sorted(truth.rows, known.codes(predictions.get_column("customer_id")))
    ids = predictions.get_column("product_id").to_numpy().astype(str)
    products = _codes(known.products, truth.rare, ids)
    if by is not None and by in predictions.columns:
        order = -predictions.get_column(by).fill_null(-np.inf).to_numpy()
    else:
        order = predictions.get_column("rank").to_numpy().astype(np.float64)
    keys = np.where((at >= 0) & (products >= 0), truth.rows[at] * size + products, -1)
    kept = np.flatnonzero((keys >= 0) & _among(keys, size, known, before, among))
    kept = kept[np.lexsort((products[kept], order[kept], at[kept]))]
    owner = at[kept]
    place = np.arange(len(kept)) - np.searchsorted(owner, owner)
    first = place < shown
    places = np.full((len(truth.rows), shown), -1, np.int64)
    places[owner[first], place[first]] = products[kept][first]
    wanted = np.where(places >= 0, truth.rows[:, None] * size + places, -1)
    following = truth.following[_among(truth.following, size, known, before, among)]
    window = truth.window[_among(truth.window, size, known, before, among)]
    own = following[find_sorted(before, following) >= 0]

    def hits(pairs: Ints) -> Bools:
        return find_sorted(pairs, wanted.ravel()).reshape(wanted.shape) >= 0

    return Outcome(
        truth.rows,
        places,
        hits(following),
        hits(window),
        hits(before),
        _sizes(following // size, truth.rows),
        _sizes(window // size, truth.rows),
        _sizes(own // size, truth.rows),
    )


def measures(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, metrics.Floats]:
    """Measure every judged customer's lists: the next basket, the horizon, and what is new.

    Returns
    -------
    dict
        By metric, one value a customer, in the same order for every method; NaN for customers
        whom a metric does not judge.
    """
    asked = (dataset, as_of, options, predictions)
    found: dict[str, metrics.Floats] = {}
    laid = outcome(*asked)
    for k in (10, 20):
        found[f"ndcg_{k}"] = metrics.ndcg_at_k(laid.next_hits, laid.next_size, k)
        found[f"recall_{k}"] = metrics.recall_at_k(laid.next_hits, laid.next_size, k)
        found[f"hit_rate_{k}"] = metrics.hit_rate_at_k(laid.next_hits, k)
    laid = outcome(*asked, by="month")
    found["window_ndcg_10"] = metrics.ndcg_at_k(laid.window_hits, laid.window_size, 10)
    found["window_recall_10"] = metrics.recall_at_k(laid.window_hits, laid.window_size, 10)
    found["window_precision_10"] = metrics.precision_at_k(laid.window_hits, 10)
    laid = outcome(*asked, by="explore", among=UNSEEN)
    found["explore_precision_10"] = metrics.precision_at_k(laid.window_hits, 10)
    found["explore_hit_rate_10"] = metrics.hit_rate_at_k(laid.window_hits, 10)
    laid = outcome(*asked, by="month", among=NEW_PRODUCTS)
    hit = metrics.hit_rate_at_k(laid.window_hits, 10)
    # Only who bought a new product could be shown the right one.
    found["new_product_hit_rate_10"] = np.where(laid.window_size > 0, hit, np.nan)
    return found


def _among(keys: Ints, size: int, known: Interactions, before: Ints, among: str) -> Bools:
    """Whether pairs are of the kind that is judged."""
    if among == UNSEEN:
        return find_sorted(before, keys) < 0
    if among == NEW_PRODUCTS:
        return find_sorted(known.fresh, keys % size) >= 0
    return np.ones(len(keys), bool)


def _codes(common: NDArray[np.str_], rare: NDArray[np.str_], ids: NDArray[np.str_]) -> Ints:
    """Codes of products; those of the rare ones follow the others'; -1 for neither."""
    at, seldom = find_sorted(common, ids), find_sorted(rare, ids)
    return np.where(at >= 0, at, np.where(seldom >= 0, len(common) + seldom, -1))


def _sizes(owners: Ints, rows: Ints) -> Ints:
    return np.bincount(find_sorted(rows, owners), minlength=len(rows))
