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
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.dataset import Dataset
from training.models import histories
from training.models.candidates import Neighbours, UserPopularity
from training.models.histories import Histories, Ints
from training.models.recommender import LISTS, popular_list

LENGTH = 20
BLOCK = 512

Floats = NDArray[np.float64]
# Scores customers by code, shape (rows, products).
Scorer = Callable[[Ints], Floats]


@dataclass
class Ranked:
    """A method that scores every product for a customer; ties go to the popular.

    Attributes
    ----------
    method
        Prepares a scorer from histories.
    horizon_days, threads
        As every method is given them; lists do not depend on the horizon.
    """

    name: ClassVar[str] = "baseline"
    method: Callable[[Histories], Scorer]
    horizon_days: int = 28
    threads: int = 1
    known_: Histories = field(init=False, repr=False)
    scorer_: Scorer = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the histories at `as_of`."""
        self.known_ = histories.known_at(dataset, as_of)
        with threadpool_limits(self.threads):
            self.scorer_ = self.method(self.known_)
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
            top = np.argpartition(scores, -length, axis=1)[:, -length:]
            values = np.take_along_axis(scores, top, axis=1)
            order = np.lexsort((top, -values), axis=1)
            top = np.take_along_axis(top, order, axis=1)
            lists.append(_lists(known, block, top, np.take_along_axis(values, order, axis=1)))
        popular = popular_list(known, length)
        unknown = asked.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        return pl.concat([*lists, unknown.select(list(LISTS)).cast(LISTS)])


def _lists(known: Histories, rows: Ints, top: Ints, values: Floats) -> pl.DataFrame:
    length = top.shape[1]
    return pl.DataFrame(
        {
            "customer_id": np.repeat(known.customers[rows], length).astype(object),
            "rank": np.tile(np.arange(1, length + 1, dtype=np.int32), len(rows)),
            "product_id": known.products[top.ravel()].astype(object),
            "score": values.ravel(),
            "reason": np.full(top.size, "baseline", dtype=object),
        },
        LISTS,
    )


def _dense(matrix: sparse.csr_matrix) -> Scorer:
    return lambda rows: np.asarray(matrix[rows].toarray(), dtype=np.float64)


def popularity(known: Histories) -> Scorer:
    """Score by baskets of the last 28 days; the same list for everyone."""
    scores = known.popularity()
    return lambda rows: np.broadcast_to(scores, (len(rows), len(scores)))


def personal_frequency(known: Histories) -> Scorer:
    """Score by the customer's own baskets with the product."""
    return _dense(known.matrix(known.pairs["baskets"]))


def decayed_frequency(known: Histories) -> Scorer:
    """Score by the customer's own baskets with the product, each worth .95 of the next."""
    return _dense(known.matrix(known.pairs["decay_basket"]))


def tifu_knn(known: Histories) -> Scorer:
    """TIFU-KNN (Hu et al. 2020), one group, .95 a basket, 100 neighbours, alpha .5."""
    everything = np.arange(known.shape[1])
    near = Neighbours(k=100, unit_length=False).fit(known, everything)
    return lambda rows: 0.5 * np.asarray(near.vectors_[rows].toarray()) + 0.5 * near.scores(rows)


def up_cf(known: Histories) -> Scorer:
    """UP-CF (Faggioli, Polato and Aiolli 2020), the last ten baskets, q = 5, alpha .75."""
    everything = np.arange(known.shape[1])
    source = UserPopularity().fit(known, everything)
    return lambda rows: np.asarray(source.scores(rows), dtype=np.float64)


def item_knn(known: Histories) -> Scorer:
    """Cosine of products over customers (implicit), 20 neighbours; bought ones are kept."""
    counts = _counts(known)
    model = CosineRecommender(K=20, num_threads=1)
    with warnings.catch_warnings():
        # implicit's own weighting hands itself a matrix in another layout, and complains.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(counts.copy(), show_progress=False)
    return lambda rows: np.asarray((counts[rows] @ model.similarity).toarray())


def als(known: Histories) -> Scorer:
    """Factorise counts (Hu, Koren and Volinsky 2008; implicit), 100 factors."""
    model = AlternatingLeastSquares(factors=100, random_state=0, num_threads=1)
    model.fit(_counts(known), show_progress=False)
    users, products = model.user_factors, model.item_factors
    return lambda rows: np.asarray(users[rows] @ products.T, dtype=np.float64)


def _counts(known: Histories) -> sparse.csr_matrix:
    return known.matrix(known.pairs["baskets"].astype(np.float64))


BASELINES: dict[str, Callable[[Histories], Scorer]] = {
    "popularity": popularity,
    "personal_frequency": personal_frequency,
    "decayed_frequency": decayed_frequency,
    "tifu_knn": tifu_knn,
    "up_cf": up_cf,
    "item_knn": item_knn,
    "als": als,
}
