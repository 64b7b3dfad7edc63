"""Baselines of the recommender: popularity, personal frequency, neighbours and factorisation.

Interactions at `as_of` in; lists with the columns of the recommender's answers out.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

import numpy as np
import polars as pl
from implicit.nearest_neighbours import CosineRecommender
from implicit.utils import ParameterWarning
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.dataset import Dataset
from features.typing import Bools, Floats, Ints
from training.models.recommender.candidates import RecommenderInputs, inputs_at
from training.models.recommender.candidates.ease import Ease
from training.models.recommender.inputs.interactions import Interactions, interactions_at
from training.models.recommender.recommendations import SCHEMA, popular_list
from training.models.recommender.time_aware_weighting import time_aware_weights

LENGTH = 20
# Products that are new to the customer, and new products, that follow the list.
FURTHER = 10
BLOCK_CUSTOMERS = 512
# Largest number of customers that neighbours are chosen from.
MAX_REFERENCES = 5000
COLUMNS = ["customer_id", "rank", "product_id", "score", "reason"]

# Scores customers by code, shape (rows, products).
Scorer = Callable[[Ints], Floats]


@dataclass
class BaselineRecommender:
    """A method that scores every product for a customer; ties go to popular products.

    The first `LENGTH` products are followed by the best that are new to the customer, and by the
    best new products.

    Attributes
    ----------
    method
        Fits a scorer on the inputs at an instant.
    horizon_days, threads
        Options of all methods; lists do not depend on the horizon.
    """

    name: ClassVar[str] = "baseline"
    method: Callable[[RecommenderInputs], Scorer]
    horizon_days: int = 28
    threads: int = 1
    interactions_: Interactions = field(init=False, repr=False)
    scorer_: Scorer = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the scorer on the interactions at `as_of`."""
        self.interactions_ = interactions_at(dataset, as_of)
        with threadpool_limits(self.threads):
            self.scorer_ = self.method(inputs_at(dataset, as_of))
        return self

    def predict(
        self,
        dataset: Dataset,  # noqa: ARG002
        as_of: datetime,  # noqa: ARG002
        ids: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """Return the `LENGTH` highest scores of each customer, as of the fit."""
        interactions = self.interactions_
        if ids is None:
            customers = pl.Series("customer_id", interactions.customers.astype(object), pl.String)
        else:
            customers = ids.get_column("customer_id").unique().sort()
        codes = interactions.customer_codes(customers)
        rows = codes[codes >= 0]
        products = interactions.shape[1]
        tie = np.empty(products)
        tie[interactions.most_popular(products)] = np.linspace(1e-6, 0.0, products)
        length = min(LENGTH, products)
        frames = []
        for start in range(0, len(rows), BLOCK_CUSTOMERS):
            block = rows[start : start + BLOCK_CUSTOMERS]
            frames.append(_recommendations(interactions, block, self.scorer_(block) + tie, length))
        popular = popular_list(interactions, length)
        unknown = customers.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        return pl.concat([*frames, unknown.select(COLUMNS).cast(_SCHEMA)])


_SCHEMA = pl.Schema({name: SCHEMA[name] for name in COLUMNS})


def _recommendations(
    interactions: Interactions, rows: Ints, scores: Floats, length: int
) -> pl.DataFrame:
    """Return the best products of each row, of those new to the customer, and of new products."""
    new_scores = np.array(scores)
    starts = np.searchsorted(interactions.rows, rows)
    ends = np.searchsorted(interactions.rows, rows, side="right")
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        new_scores[position, interactions.cols[start:end]] = -np.inf
    new_products = interactions.new_products
    chosen = _at_least_kth(scores, length) | _at_least_kth(new_scores, FURTHER)
    if len(new_products):
        chosen[:, new_products] |= _at_least_kth(scores[:, new_products], FURTHER)
    positions, cols = np.nonzero(chosen)
    customer_ids = interactions.customers[rows[positions]].astype(object)
    frame = pl.DataFrame(
        {
            "customer_id": pl.Series(customer_ids, dtype=pl.String),
            "product_id": interactions.products[cols].astype(object),
            "score": scores[positions, cols],
            "reason": np.full(len(cols), "baseline", dtype=object),
        },
        {name: dtype for name, dtype in _SCHEMA.items() if name != "rank"},
    )
    rank = pl.col("score").rank("ordinal", descending=True).over("customer_id").alias("rank")
    return frame.with_columns(rank).select(COLUMNS).cast(_SCHEMA).sort("customer_id", "rank")


def _at_least_kth(scores: Floats, length: int) -> Bools:
    """Mark the highest scores of each row; a partition of values is faster than one of columns."""
    length = min(length, scores.shape[1])
    threshold = np.partition(scores, -length, axis=1)[:, -length]
    marked: Bools = (scores >= threshold[:, None]) & np.isfinite(scores)
    return marked


def _dense_rows(matrix: sparse.csr_matrix) -> Scorer:
    return lambda rows: np.asarray(matrix[rows].toarray(), dtype=np.float64)


def popularity(inputs: RecommenderInputs) -> Scorer:
    """Score by baskets of the last 28 days; the same list for all customers."""
    scores = inputs.interactions.popularity()
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores)))


def decayed_frequency(inputs: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product, each weighted .95 of the next."""
    interactions = inputs.interactions
    return _dense_rows(interactions.matrix(interactions.features["decay_basket"]))


def tifu_knn(inputs: RecommenderInputs, k: int = 100, alpha: float = 0.5) -> Scorer:
    """TIFU-KNN (Hu et al. 2020, arXiv:2006.00556) with one group, decay .95 per basket.

    A customer's vector is the mean of their baskets, each decayed by its age in baskets. It is
    averaged with the mean vector of the `k` nearest other customers, by Euclidean distance.
    """
    interactions = inputs.interactions
    baskets = interactions.customer_features["customer_baskets"][interactions.rows]
    decay = interactions.features["decay_basket"] / baskets
    vectors = interactions.matrix(decay.astype(np.float32))
    return _with_neighbours(interactions, vectors, k, alpha)


def taiw(inputs: RecommenderInputs) -> Scorer:
    """Score by the customer's purchases, weighted by the days since; `time_aware_weighting`."""
    return _dense_rows(time_aware_weights(inputs))


def taiwi(inputs: RecommenderInputs, k: int = 300, alpha: float = 0.7) -> Scorer:
    """TAIWI: average TAIW's scores with those of the `k` nearest other customers."""
    weights = time_aware_weights(inputs)
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    directions = sparse.diags_array(1 / np.maximum(lengths, 1e-12)) @ weights
    vectors = sparse.csr_matrix(directions, dtype=np.float32)
    return _with_neighbours(inputs.interactions, vectors, k, alpha)


def _with_neighbours(
    interactions: Interactions, vectors: sparse.csr_matrix, k: int, alpha: float
) -> Scorer:
    """Average a customer's vector, weighted `alpha`, with the mean of the nearest others'."""
    references = reference_customers(interactions)
    reference_vectors = vectors[references]
    squared_lengths = np.asarray(reference_vectors.multiply(reference_vectors).sum(axis=1)).ravel()
    by_product = reference_vectors.T.tocsr()

    def scorer(rows: Ints) -> Floats:
        similarity = 2 * (vectors[rows] @ by_product).toarray() - squared_lengths
        similarity[rows[:, None] == references] = -np.inf
        weights = k_nearest(similarity, min(k, similarity.shape[1]))
        weights.data[:] = (1 - alpha) / k
        scores = alpha * vectors[rows] + weights @ reference_vectors
        return np.asarray(scores.toarray(), dtype=np.float64)

    return scorer


def ease(inputs: RecommenderInputs, products: int = 3000, l2: float = 200.0) -> Scorer:
    """EASE (Steck 2019) on log counts of the most popular products."""
    interactions = inputs.interactions
    generator = Ease(l2=l2).fit(inputs, np.sort(interactions.most_popular(products)))

    def scorer(rows: Ints) -> Floats:
        scores = np.full((len(rows), interactions.shape[1]), -1e3)
        scores[:, generator.cols_] = generator.scores(rows).values
        return scores

    return scorer


def item_knn(inputs: RecommenderInputs) -> Scorer:
    """Cosine of products over customers (implicit), 20 neighbours; repeat purchases included."""
    counts = _counts(inputs.interactions)
    model = CosineRecommender(K=20, num_threads=1)
    with warnings.catch_warnings():
        # implicit's own weighting passes itself a matrix in another layout, and warns.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(counts.copy(), show_progress=False)
    return lambda rows: np.asarray((counts[rows] @ model.similarity).toarray())


def reference_customers(interactions: Interactions) -> Ints:
    """Choose the customers that neighbours are chosen from: `MAX_REFERENCES`, evenly spaced."""
    customers = interactions.shape[0]
    if customers <= MAX_REFERENCES:
        return np.arange(customers)
    return np.linspace(0, customers - 1, MAX_REFERENCES).astype(np.int64)


def k_nearest(similarity: NDArray[np.floating], k: int) -> sparse.csr_matrix:
    """Keep the `k` largest values of each row."""
    columns = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(similarity, columns, axis=1).astype(np.float32)
    starts = np.arange(0, columns.size + 1, k)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=similarity.shape)


def _counts(interactions: Interactions) -> sparse.csr_matrix:
    return interactions.matrix(interactions.features["baskets"].astype(np.float64))


BASELINES: dict[str, Callable[[RecommenderInputs], Scorer]] = {
    "popularity": popularity,
    "decayed_frequency": decayed_frequency,
    "tifu_knn": tifu_knn,
    "taiw": taiw,
    "taiwi": taiwi,
    "ease": ease,
    "item_knn": item_knn,
}
