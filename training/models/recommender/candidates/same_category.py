"""Other products of the kinds that the customer buys: variants, sizes, brands not tried yet."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs
from training.models.recommender.inputs.locations import Places
from training.models.recommender.inputs.product_groups import kinds_of


@dataclass
class SameKind:
    """The customer's decayed purchases of a kind times the product's share of its sales.

    A promotion in the coming week at the customer's usual location multiplies the share by as
    much as its placement sells more.
    Kinds are the finest level of the catalogue; without one, what is promoted and sells.
    """

    name: ClassVar[str] = "same_kind"
    reason: ClassVar[str] = "same_kind"
    limit: int = 60
    cols_: Ints = field(init=False, repr=False)
    places_: Places = field(init=False, repr=False)
    tastes_: sparse.csr_matrix = field(init=False, repr=False)
    kinds_: Ints = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Add up what customers bought of each kind, and what sells of it."""
        known = moment.known
        self.cols_, self.places_ = cols, moment.places
        kinds = kinds_of(moment.dataset, known)
        self.kinds_ = kinds[cols]
        size = int(kinds.max(initial=0)) + 1
        bought = sparse.csr_matrix(
            (known.pairs["decay_60d"], (known.rows, kinds[known.cols])), (known.shape[0], size)
        )
        self.tastes_ = bought.log1p().astype(np.float32)
        recent = known.popularity()[cols]
        of_kind = np.bincount(self.kinds_, weights=recent, minlength=size)
        # Between the share of the kind, which favours small kinds, and sales, which drown them.
        share = recent / np.sqrt(of_kind[self.kinds_] + 5.0)
        worth = 1.0 + moment.plan.here(cols, moment.day)
        self.shares_ = (share[None, :] * worth).astype(np.float32)
        return self

    def scores(self, rows: Ints) -> Dense:
        """Multiply the customers' tastes with the shares at their first location."""
        taste = np.asarray(self.tastes_[rows].toarray())[:, self.kinds_]
        return Dense(self.cols_, taste * self.shares_[self.places_.codes[rows, 0]])
