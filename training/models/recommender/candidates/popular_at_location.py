"""What sells of late at the customer's usual locations."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs
from training.models.recommender.inputs.locations import Places

# A location's sales count against so many orders with the chain's mix.
PRIOR_ORDERS = 200.0


@dataclass
class PopularHere:
    """Share of the location's orders of the last 28 days, drawn towards the chain's.

    Customers without a location get the chain's.
    """

    name: ClassVar[str] = "popular_here"
    reason: ClassVar[str] = "popular_here"
    limit: int = 30
    cols_: Ints = field(init=False, repr=False)
    places_: Places = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Count orders by location; the last row is the chain's."""
        self.cols_, self.places_ = cols, moment.places
        local = moment.places.sales(moment.dataset, moment.as_of, moment.known)[:, cols]
        chain = moment.known.popularity()[cols].astype(np.float32)
        mix = chain / max(float(chain.sum()), 1.0)
        counts = np.asarray(local.toarray(), dtype=np.float32)
        totals = counts.sum(axis=1, keepdims=True)
        shares = (counts + PRIOR_ORDERS * mix) / (totals + PRIOR_ORDERS)
        self.shares_ = np.vstack([shares, mix[None, :]]).astype(np.float32)
        return self

    def scores(self, rows: Ints) -> Dense:
        """Weigh the shares by how often each customer is at each location."""
        codes, weights = self.places_.codes[rows], self.places_.weights[rows]
        found: Float32s = np.zeros((len(rows), len(self.cols_)), np.float32)
        for place in range(codes.shape[1]):
            found += weights[:, place, None] * self.shares_[codes[:, place]]
        nowhere = codes[:, 0] < 0
        found[nowhere] = self.shares_[-1]
        return Dense(self.cols_, found)
