"""Candidates by recent popularity at the customer's usual locations."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs
from training.models.recommender.inputs.locations import CustomerLocations

# Orders with the chain's mix that are added to each location's orders.
PRIOR_ORDERS = 200.0


@dataclass
class PopularAtLocation:
    """Share of a location's orders of the last 28 days, shrunk towards the chain's share.

    Customers without a location get the chain's shares.
    """

    name: ClassVar[str] = "popular_at_location"
    reason: ClassVar[str] = "popular_here"
    limit: int = 30
    cols_: Ints = field(init=False, repr=False)
    locations_: CustomerLocations = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Count orders by location; the last row is the chain's."""
        self.cols_, self.locations_ = cols, inputs.locations
        sales = inputs.locations.sales(inputs.dataset, inputs.as_of, inputs.interactions)
        chain = inputs.interactions.popularity()[cols].astype(np.float32)
        mix = chain / max(float(chain.sum()), 1.0)
        counts = np.asarray(sales[:, cols].toarray(), dtype=np.float32)
        totals = counts.sum(axis=1, keepdims=True)
        shares = (counts + PRIOR_ORDERS * mix) / (totals + PRIOR_ORDERS)
        self.shares_ = np.vstack([shares, mix[None, :]]).astype(np.float32)
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Average the shares over the customer's locations."""
        codes, weights = self.locations_.codes[rows], self.locations_.weights[rows]
        scores: Float32s = np.zeros((len(rows), len(self.cols_)), np.float32)
        for code, weight in zip(codes.T, weights.T, strict=True):
            scores += weight[:, None] * self.shares_[code]
        scores[codes[:, 0] < 0] = self.shares_[-1]
        return DenseScores(self.cols_, scores)
