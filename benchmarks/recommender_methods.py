"""Published recommendation methods: their options, their tuning and models of implicit.

The recommender's inputs at an instant go in; scorers of customers come out.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.dataset import Dataset
from features.typing import Floats, Ints
from training.models.recommender import baselines
from training.models.recommender.baselines import (
    BaselineRecommender,
    Scorer,
    k_nearest,
    reference_customers,
)
from training.models.recommender.candidates import RecommenderInputs
from training.models.recommender.hits import customer_metrics, truth_at
from training.models.recommender.inputs.interactions import interactions_at

Method = Callable[[RecommenderInputs], Scorer]

# Weight of the customer's own size in the similarity of UP-CF.
UP_CF_ALPHA = 0.75


def personal_frequency(inputs: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product."""
    known = inputs.interactions
    counts = known.matrix(known.features["baskets"])
    return lambda rows: np.asarray(counts[rows].toarray(), dtype=np.float64)


def up_cf(inputs: RecommenderInputs, k: int = 300, q: float = 5.0) -> Scorer:
    """Sum the shares in the last ten baskets of customers with a similar assortment.

    Source: UP-CF, Faggioli, Polato and Aiolli 2020 (recency aware collaborative filtering for
    next basket recommendation): asymmetric cosine of the sets of products bought, to the power
    of q.
    """
    known = inputs.interactions
    bought = known.matrix(np.ones(len(known.rows), np.float32))
    references = reference_customers(known)
    by_product = bought[references].T.tocsr()
    size = np.maximum(np.asarray(bought.sum(axis=1)).ravel(), 1.0)
    last = np.minimum(10, known.customer_features["customer_baskets"])[known.rows]
    shares = known.matrix((known.features["baskets_last_10"] / last).astype(np.float32))[references]

    def scores(rows: Ints) -> Floats:
        norms = np.outer(size[rows] ** UP_CF_ALPHA, size[references] ** (1 - UP_CF_ALPHA))
        similarity = ((bought[rows] @ by_product).toarray() / norms) ** q
        weights = k_nearest(similarity, min(k, similarity.shape[1]))
        return np.asarray((weights @ shares).toarray(), dtype=np.float64)

    return scores


# Method, metric to tune for, and options to choose from.
GRIDS: dict[str, tuple[Callable[..., Scorer], str, list[dict[str, Any]]]] = {
    "TIFU-KNN": (
        baselines.tifu_knn,
        "ndcg_10",
        [{"k": k, "alpha": alpha} for k in (100, 300) for alpha in (0.3, 0.5)],
    ),
    "UP-CF": (up_cf, "ndcg_10", [{"k": 300, "q": q} for q in (1.0, 5.0, 10.0)]),
    "EASE": (baselines.ease, "explore_precision_10", [{"l2": l2} for l2 in (100.0, 300.0)]),
}
MAX_TUNING_CUSTOMERS = 2500
# A score below all others, of products that are not recommended.
_EXCLUDED = -1e6


def factors(model: Any, inputs: RecommenderInputs) -> Scorer:
    """Fit a matrix factorisation of implicit on numbers of baskets."""
    with threadpool_limits(1):
        model.fit(_basket_counts(inputs), show_progress=False)
    return lambda rows: np.asarray(
        model.user_factors[rows] @ model.item_factors.T, dtype=np.float64
    )


def item_neighbours(model: Any, inputs: RecommenderInputs) -> Scorer:
    """Fit an item-neighbour model of implicit on numbers of baskets."""
    counts = _basket_counts(inputs)
    # implicit weights the matrix in place.
    model.fit(counts.copy(), show_progress=False)
    return lambda rows: np.asarray((counts[rows] @ model.similarity).toarray())


def _basket_counts(inputs: RecommenderInputs) -> sparse.csr_matrix:
    return inputs.interactions.matrix(inputs.interactions.features["baskets"].astype(np.float64))


IMPLICIT: dict[str, Method] = {
    "implicit ALS": lambda inputs: factors(
        AlternatingLeastSquares(factors=100, random_state=0, num_threads=1), inputs
    ),
    "implicit BPR": lambda inputs: factors(
        BayesianPersonalizedRanking(factors=64, random_state=0, num_threads=1), inputs
    ),
    "implicit cosine": lambda inputs: item_neighbours(
        CosineRecommender(K=20, num_threads=1), inputs
    ),
    "implicit BM25": lambda inputs: item_neighbours(BM25Recommender(K=20, num_threads=1), inputs),
}


def without_purchased(scorer: Scorer, inputs: RecommenderInputs) -> Scorer:
    """Exclude products that a customer bought before, as implicit does by default."""
    bought = inputs.interactions.matrix(np.ones(len(inputs.interactions.rows), np.float32))

    def scores(rows: Ints) -> Floats:
        values = np.array(scorer(rows), dtype=np.float64)
        values[bought[rows].nonzero()] = _EXCLUDED
        return values

    return scores


def repeat_rates(inputs: RecommenderInputs) -> Scorer:
    """Score products by the repeat rate and by last baskets, without a trained model.

    The score of a product is 1.6 * n / (b + 3) * r + s: n of the customer's b baskets hold it, r
    is the share of its buyers with two baskets of it or more, and s is the share of customers
    whose last basket holds it.
    """
    known = inputs.interactions
    customers, products = known.shape
    baskets = known.features["baskets"]
    buyers = np.bincount(known.cols, minlength=products)
    repeat_buyers = np.bincount(known.cols, weights=baskets > 1, minlength=products)
    rate = repeat_buyers / np.maximum(buyers, 1)
    in_last_basket = known.features["recency_baskets"] == 0
    share = np.bincount(known.cols[in_last_basket], minlength=products) / customers
    size = known.customer_features["customer_baskets"][known.rows]
    values = 1.6 * baskets / (size + 3) * rate[known.cols]
    repeat = sparse.csr_matrix((values, (known.rows, known.cols)), shape=known.shape)
    return lambda rows: np.asarray(repeat[rows].toarray() + share)


def methods(chosen: Mapping[str, dict[str, Any]]) -> dict[str, Method]:
    """Return all methods by name, those of `GRIDS` with chosen options."""
    return {
        "decayed frequency": baselines.decayed_frequency,
        "GP-TopFreq": personal_frequency,
        "TAIW": baselines.taiw,
        "TAIWI": baselines.taiwi,
        **{name: partial(GRIDS[name][0], **options) for name, options in chosen.items()},
        **IMPLICIT,
    }


def tune(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    only: set[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Choose the options of each method of `GRIDS` at an earlier cutoff.

    At most `MAX_TUNING_CUSTOMERS` customers get lists. The others count as misses with all options.

    Parameters
    ----------
    options
        Options of the recommender's task.
    only
        Names of methods to tune, by default all.
    """
    chosen = {}
    known, rows = interactions_at(dataset, as_of), truth_at(dataset, as_of, options).rows
    sample = np.linspace(0, len(rows) - 1, min(MAX_TUNING_CUSTOMERS, len(rows))).astype(int)
    ids = pl.DataFrame({"customer_id": known.customers[rows[sample]].astype(object)})
    ids = ids.cast({"customer_id": pl.String})
    for name, (method, metric, grid) in GRIDS.items():
        if only and name not in only:
            continue
        best = -1.0
        for candidate in grid:
            fitted = BaselineRecommender(partial(method, **candidate)).fit(dataset, as_of)
            lists = fitted.predict(dataset, as_of, ids)
            value = float(np.nanmean(customer_metrics(dataset, as_of, options, lists)[metric]))
            if value > best:
                best, chosen[name] = value, candidate
        print(f"tuned on {as_of.date()}: {name} {chosen[name]} {metric} {best:.4f}", flush=True)
    return chosen
