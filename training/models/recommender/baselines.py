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
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from implicit.utils import ParameterWarning
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.dataset import Dataset
from features.typing import Floats, Ints
from training.models.recommender.candidates import RecommenderInputs, inputs_at
from training.models.recommender.candidates.ease import Ease
from training.models.recommender.candidates.tifu_knn import TifuKnn
from training.models.recommender.candidates.user_knn import UserKnn
from training.models.recommender.inputs.interactions import Interactions, interactions_at
from training.models.recommender.recommendations import SCHEMA, popular_list

LENGTH = 20
# Products that are new to the customer, and new products, that follow the list.
FURTHER = 10
BLOCK_CUSTOMERS = 512
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
        popularity = interactions.popularity()
        tie = 1e-6 * popularity / (popularity.max(initial=0.0) + 1.0)
        length = min(LENGTH, interactions.shape[1])
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
    products = interactions.shape[1]
    new_scores = np.array(scores)
    starts = np.searchsorted(interactions.rows, rows)
    ends = np.searchsorted(interactions.rows, rows, side="right")
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        new_scores[position, interactions.cols[start:end]] = -np.inf
    new_products = interactions.new_products
    chosen = [_top(scores, length), _top(new_scores, FURTHER)]
    if len(new_products):
        chosen.append(new_products[_top(scores[:, new_products], FURTHER)])
    offsets = np.arange(len(rows))[:, None] * products
    keys = np.unique(np.concatenate([(offsets + cols).ravel() for cols in chosen]))
    positions, cols = np.divmod(keys, products)
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


def _top(scores: Floats, length: int) -> Ints:
    """Columns of the highest scores of each row, unordered."""
    length = min(length, scores.shape[1])
    return np.asarray(np.argpartition(scores, -length, axis=1)[:, -length:])


def _dense_rows(matrix: sparse.csr_matrix) -> Scorer:
    return lambda rows: np.asarray(matrix[rows].toarray(), dtype=np.float64)


def popularity(inputs: RecommenderInputs) -> Scorer:
    """Score by baskets of the last 28 days; the same list for all customers."""
    scores = inputs.interactions.popularity()
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores)))


def personal_frequency(inputs: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product."""
    interactions = inputs.interactions
    return _dense_rows(interactions.matrix(interactions.features["baskets"]))


def decayed_frequency(inputs: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product, each weighted .95 of the next."""
    interactions = inputs.interactions
    return _dense_rows(interactions.matrix(interactions.features["decay_basket"]))


def tifu_knn(inputs: RecommenderInputs, k: int = 100, alpha: float = 0.5) -> Scorer:
    """TIFU-KNN (Hu et al. 2020), one group, decay .95 per basket."""
    products = np.arange(inputs.interactions.shape[1])
    generator = TifuKnn(k=k, unit_length=False).fit(inputs, products)

    def scorer(rows: Ints) -> Floats:
        frequency = np.asarray(generator.vectors_[rows].toarray())
        return alpha * frequency + (1 - alpha) * generator.scores(rows).values

    return scorer


def up_cf(inputs: RecommenderInputs, k: int = 300, q: float = 5.0) -> Scorer:
    """UP-CF (Faggioli, Polato and Aiolli 2020), the last ten baskets, alpha .75."""
    products = np.arange(inputs.interactions.shape[1])
    generator = UserKnn(k=k, q=q).fit(inputs, products)
    return lambda rows: np.asarray(generator.scores(rows).values, dtype=np.float64)


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


def als(inputs: RecommenderInputs) -> Scorer:
    """Factorise counts (Hu, Koren and Volinsky 2008; implicit), 100 factors."""
    model = AlternatingLeastSquares(factors=100, random_state=0, num_threads=1)
    model.fit(_counts(inputs.interactions), show_progress=False)
    users, products = model.user_factors, model.item_factors
    return lambda rows: np.asarray(users[rows] @ products.T, dtype=np.float64)


def _counts(interactions: Interactions) -> sparse.csr_matrix:
    return interactions.matrix(interactions.features["baskets"].astype(np.float64))


BASELINES: dict[str, Callable[[RecommenderInputs], Scorer]] = {
    "popularity": popularity,
    "personal_frequency": personal_frequency,
    "decayed_frequency": decayed_frequency,
    "tifu_knn": tifu_knn,
    "up_cf": up_cf,
    "ease": ease,
    "item_knn": item_knn,
    "als": als,
}
