"""What the recommender must beat: popularity, own frequency, neighbours, factors.

Histories at `as_of` in; lists with the columns of the recommender's answers out.
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
from training.models.recommender.inputs import interactions as histories
from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.recommendations import LISTS, popular_list

LENGTH = 20
# Beyond the list: the first so many that the customer never bought, and of new products.
BEYOND = 10
BLOCK = 512
COLUMNS = ["customer_id", "rank", "product_id", "score", "reason"]

# Scores customers by code, shape (rows, products).
Scorer = Callable[[Ints], Floats]


@dataclass
class Ranked:
    """A method that scores every product for a customer; ties go to the popular.

    After the list's first places it answers what a list of new things would hold.

    Attributes
    ----------
    method
        Prepares a scorer from what was known at an instant.
    horizon_days, threads
        As every method is given them; lists do not depend on the horizon.
    """

    name: ClassVar[str] = "baseline"
    method: Callable[[RecommenderInputs], Scorer]
    horizon_days: int = 28
    threads: int = 1
    known_: Interactions = field(init=False, repr=False)
    scorer_: Scorer = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the histories at `as_of`."""
        self.known_ = histories.known_at(dataset, as_of)
        with threadpool_limits(self.threads):
            self.scorer_ = self.method(inputs_at(dataset, as_of))
        return self

    def predict(
        self,
        dataset: Dataset,  # noqa: ARG002
        as_of: datetime,  # noqa: ARG002
        ids: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """List the `LENGTH` highest scores of each customer, as of the fit."""
        known = self.known_
        customers = pl.Series("customer_id", known.customers.astype(object), pl.String)
        asked = customers if ids is None else ids.get_column("customer_id").unique().sort()
        codes = known.codes(asked)
        rows = codes[codes >= 0]
        popularity = known.popularity()
        tie = 1e-6 * popularity / (popularity.max(initial=0.0) + 1.0)
        length = min(LENGTH, known.shape[1])
        lists = []
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            scores = self.scorer_(block) + tie
            lists.append(_lists(known, block, scores, length))
        popular = popular_list(known, length)
        unknown = asked.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        return pl.concat([*lists, unknown.select(COLUMNS).cast(_TYPES)])


_TYPES = pl.Schema({name: LISTS[name] for name in COLUMNS})


def _lists(known: Interactions, rows: Ints, scores: Floats, length: int) -> pl.DataFrame:
    """Take the first places, and beyond them the first of what is new."""
    unseen = np.array(scores)
    starts = np.searchsorted(known.rows, rows)
    ends = np.searchsorted(known.rows, rows, side="right")
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        unseen[position, known.cols[start:end]] = -np.inf
    fresh = known.fresh
    chosen = [_best(scores, length), _best(unseen, BEYOND)]
    if len(fresh):
        chosen.append(fresh[_best(scores[:, fresh], BEYOND)])
    keys = np.unique(
        np.concatenate(
            [(np.arange(len(rows))[:, None] * known.shape[1] + cols).ravel() for cols in chosen]
        )
    )
    positions, cols = np.divmod(keys, known.shape[1])
    found = pl.DataFrame(
        {
            "customer_id": pl.Series(
                known.customers[rows[positions]].astype(object), dtype=pl.String
            ),
            "product_id": known.products[cols].astype(object),
            "score": scores[positions, cols],
            "reason": np.full(len(cols), "baseline", dtype=object),
        },
        {name: kind for name, kind in _TYPES.items() if name != "rank"},
    )
    rank = pl.col("score").rank("ordinal", descending=True).over("customer_id").alias("rank")
    return found.with_columns(rank).select(COLUMNS).cast(_TYPES).sort("customer_id", "rank")


def _best(scores: Floats, length: int) -> Ints:
    """Columns of the highest scores of each row, in no order."""
    length = min(length, scores.shape[1])
    return np.asarray(np.argpartition(scores, -length, axis=1)[:, -length:])


def _dense(matrix: sparse.csr_matrix) -> Scorer:
    return lambda rows: np.asarray(matrix[rows].toarray(), dtype=np.float64)


def popularity(moment: RecommenderInputs) -> Scorer:
    """Score by baskets of the last 28 days; the same list for everyone."""
    scores = moment.known.popularity()
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores)))


def personal_frequency(moment: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product."""
    return _dense(moment.known.matrix(moment.known.pairs["baskets"]))


def decayed_frequency(moment: RecommenderInputs) -> Scorer:
    """Score by the customer's own baskets with the product, each worth .95 of the next."""
    return _dense(moment.known.matrix(moment.known.pairs["decay_basket"]))


def tifu_knn(moment: RecommenderInputs, k: int = 100, alpha: float = 0.5) -> Scorer:
    """TIFU-KNN (Hu et al. 2020), one group, .95 a basket."""
    everything = np.arange(moment.known.shape[1])
    near = TifuKnn(k=k, unit_length=False).fit(moment, everything)
    return lambda rows: (
        alpha * np.asarray(near.vectors_[rows].toarray()) + (1 - alpha) * near.scores(rows).values
    )


def up_cf(moment: RecommenderInputs, k: int = 300, q: float = 5.0) -> Scorer:
    """UP-CF (Faggioli, Polato and Aiolli 2020), the last ten baskets, alpha .75."""
    everything = np.arange(moment.known.shape[1])
    source = UserKnn(k=k, q=q).fit(moment, everything)
    return lambda rows: np.asarray(source.scores(rows).values, dtype=np.float64)


def ease(moment: RecommenderInputs, products: int = 3000, l2: float = 200.0) -> Scorer:
    """EASE (Steck 2019) on log counts of the most popular products."""
    known = moment.known
    source = Ease(l2=l2).fit(moment, np.sort(known.most_popular(products)))

    def scorer(rows: Ints) -> Floats:
        found = np.full((len(rows), known.shape[1]), -1e3)
        found[:, source.cols_] = source.scores(rows).values
        return found

    return scorer


def item_knn(moment: RecommenderInputs) -> Scorer:
    """Cosine of products over customers (implicit), 20 neighbours; bought ones are kept."""
    counts = _counts(moment.known)
    model = CosineRecommender(K=20, num_threads=1)
    with warnings.catch_warnings():
        # implicit's own weighting hands itself a matrix in another layout, and complains.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(counts.copy(), show_progress=False)
    return lambda rows: np.asarray((counts[rows] @ model.similarity).toarray())


def als(moment: RecommenderInputs) -> Scorer:
    """Factorise counts (Hu, Koren and Volinsky 2008; implicit), 100 factors."""
    model = AlternatingLeastSquares(factors=100, random_state=0, num_threads=1)
    model.fit(_counts(moment.known), show_progress=False)
    users, products = model.user_factors, model.item_factors
    return lambda rows: np.asarray(users[rows] @ products.T, dtype=np.float64)


def _counts(known: Interactions) -> sparse.csr_matrix:
    return known.matrix(known.pairs["baskets"].astype(np.float64))


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
