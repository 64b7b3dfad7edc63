"""Candidates of a customer whose orders come with the request.

Posted orders and an index in; scored candidates out, in the form of published ones. The learned
ranker is not used. Products bought before are scored by how often and how recently they were
bought, with the features of training, and by promotions of the week. New products are scored by
popularity, by the customer's affinity for their category and by association with purchases.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.customer_records import customer_frame, dataset_of_part
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset
from features.interactions.builder import baskets, interactions
from features.typing import Bools, Floats, Frame, Int32s, Ints
from training.models.recommender.index.candidate_scoring import Candidates
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.ranking.attribution import GROUP_OF_REASON

# Exponent of the promotion's sales factor. On the bundled data .5 gives an NDCG of the next basket
# of .215, against .209 without promotions and .200 with an exponent of 1.
PROMOTION_EXPONENT = 0.5
# Exponent of the category affinity. On the bundled data .036 of ten new products were bought,
# against .034 of the most popular products.
CATEGORY_EXPONENT = 0.25
# Shrinkage of the category affinity towards the average customer, in baskets.
PRIOR_BASKETS = 2.0
MOST_NEW = 300

REASONS = ("repeat", "popular", "same_kind")
REPEAT, POPULAR, SAME_KIND = range(len(REASONS))
PAIR_FEATURES = ("baskets", "decay_basket", "recency_days", "gap_mean")


@dataclass(frozen=True)
class PostedOrders:
    """Orders of one customer before an instant.

    Attributes
    ----------
    baskets
        Number of baskets.
    products
        One row per product: product_id and the columns `PAIR_FEATURES`.
    location_id
        Location of the last order that names one.
    """

    baskets: int
    products: pl.DataFrame
    location_id: str | None


def read(orders: pl.DataFrame, as_of: datetime) -> dict[str, PostedOrders]:
    """Summarise the orders of each customer, by customer_id.

    Parameters
    ----------
    orders
        The canonical table, with nulls for missing values.
    """
    if orders.get_column("product_id").null_count():
        table = orders.drop_nulls("product_id")
    else:
        table = orders
    dataset = dataset_of_part({"orders": table}, PopulationStatistics())
    pairs = customer_frame(_pairs, dataset, as_of).sort("customer_id", "product_id")
    count = Counter(customer_frame(baskets, dataset, as_of).get_column("customer_id").to_list())
    locations = _last_locations(orders)
    return {
        str(customer): PostedOrders(count[customer], rows, locations.get(customer))
        for (customer,), rows in pairs.partition_by("customer_id", as_dict=True).items()
    }


def _last_locations(orders: pl.DataFrame) -> dict[str, str]:
    """Return the location of each customer's last order line that names one."""
    columns = (orders.get_column(name) for name in ("customer_id", "location_id", "ts"))
    last: dict[str, tuple[int, str]] = {}
    customers, locations, times = (column.to_physical().to_list() for column in columns)
    for customer, location, ts in zip(customers, locations, times, strict=True):
        if location is not None and (customer not in last or ts >= last[customer][0]):
            last[customer] = ts, location
    return {customer: location for customer, (_, location) in last.items()}


def _pairs(dataset: Dataset, as_of: datetime) -> Frame:
    pairs = interactions(dataset, as_of)
    return pairs.select("customer_id", "product_id", *PAIR_FEATURES)


def posted_candidates(
    index: RecommenderIndex, orders: PostedOrders, at: datetime, location_id: str | None
) -> Candidates:
    """Score bought and new products at a time and location; unknown products are left out."""
    store = index.candidates
    rows = np.array(
        [store.product_rows.get(product, -1) for product in orders.products["product_id"]],
        np.int64,
    )
    known = (rows >= 0) & ~index.catalogue.discontinued[index.code_of_row[rows]]
    bought = rows[known]
    state = {
        # Missing values become NaN.
        name: orders.products.get_column(name).cast(pl.Float64).to_numpy()[known]
        for name in PAIR_FEATURES
    }
    decay = state["decay_basket"]
    new, new_scores, is_affine = _new_products(index, index.code_of_row[bought], decay)
    products = np.concatenate([bought, new])
    bought_before = np.arange(len(products)) < len(bought)
    missing = np.full(len(new), np.nan)
    features: dict[str, Any] = {
        name: np.concatenate([values, missing]).astype(np.float32) for name, values in state.items()
    }
    features |= _promotions(index, products, to_day(at), location_id or orders.location_id)
    uplift = promotion_uplift(features, len(products))[bought_before]
    odds = decay * (1.0 + uplift) ** PROMOTION_EXPONENT
    score = np.concatenate([odds / (1.0 + odds), new_scores])
    generator = np.concatenate(
        [np.full(len(bought), REPEAT), np.where(is_affine, SAME_KIND, POPULAR)]
    )
    scores = {"now": score, "month": score, "explore": np.where(bought_before, np.nan, score)}
    no_context = np.zeros((len(products), 0), np.float32)
    return Candidates(
        -1,
        products,
        scores,
        bought_before,
        REASONS,
        generator.astype(np.int8),
        features,
        no_context,
    )


def reason_groups(candidates: Candidates, positions: Ints) -> list[tuple[str, ...]]:
    """Return the reason groups of some posted candidates."""
    promoted = promotion_uplift(candidates.features, len(candidates.products)) > 0
    groups: list[tuple[str, ...]] = []
    for position in positions.tolist():
        group = GROUP_OF_REASON[candidates.reason(position)]
        is_promoted = candidates.bought_before[position] and promoted[position]
        groups.append((group, "promotion") if is_promoted else (group,))
    return groups


def promotion_uplift(features: Mapping[str, NDArray[Any]], size: int) -> Floats:
    """Return the largest sales uplift of each candidate's promotions, zero without any."""
    uplifts = [values for name, values in features.items() if name.endswith("_uplift")]
    return np.asarray(np.max([np.zeros(size), *uplifts], axis=0), np.float64)


def _new_products(
    index: RecommenderIndex, codes: Int32s, decay: Floats
) -> tuple[Ints, Floats, Bools]:
    """Score popular products that a customer never bought.

    Parameters
    ----------
    codes, decay
        Products that the customer bought, and their decayed numbers of baskets.

    Returns
    -------
    tuple
        Product rows, scores, and whether the customer's affinity for the category is above
        average.
    """
    categories = index.catalogue.categories + 1
    share = index.popular.share.astype(np.float64)
    size = int(categories.max(initial=0)) + 1
    usual = np.bincount(categories, weights=share, minlength=size)
    usual = usual / max(usual.sum(), 1e-9)
    purchased = np.bincount(categories[codes], weights=decay, minlength=size)
    affinity = (purchased + PRIOR_BASKETS * usual) / (
        (purchased.sum() + PRIOR_BASKETS) * np.maximum(usual, 1e-9)
    )
    # Products without a category have no affinity.
    affinity[0] = 1.0
    # Association raises the share of ten new products that are bought from .036 to .040.
    association = 1.0 + index.association.total_weights(codes)
    score = share * affinity[categories] ** CATEGORY_EXPONENT * association
    score[codes] = 0.0
    # Sorting the best alone, ties included, takes a tenth of the time of sorting all.
    size = min(MOST_NEW, len(score))
    best = np.flatnonzero(score >= np.partition(score, -size)[-size])
    best = best[np.argsort(-score[best], kind="stable")][:size]
    ids = index.catalogue.ids
    rows = np.array([index.candidates.product_rows.get(ids[code], -1) for code in best])
    kept = (rows >= 0) & (score[best] > 0)
    return (
        rows[kept].astype(np.int64),
        np.minimum(score[best][kept], 0.999),
        affinity[categories[best]][kept] > 1,
    )


def _promotions(
    index: RecommenderIndex, products: Ints, day: int, location_id: str | None
) -> dict[str, Any]:
    store = index.candidates
    location = -1 if location_id is None else store.location_codes.get(location_id, -1)
    codes = np.full((len(products), 1), location, np.int64)
    weights = np.ones((len(products), 1), np.float32)
    return store.plan.exposure(codes, weights, products, day)
