"""Candidates among products that the customer bought before, by decayed frequency."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from scipy import sparse

from features.typing import Ints
from training.models.recommender.candidates.base import RecommenderInputs, SparseScores


@dataclass
class Repeat:
    """The customer's baskets with a product, each weighted .95 of the next one."""

    name: ClassVar[str] = "repeat"
    reason: ClassVar[str] = "repeat"
    limit: int = 200
    weights_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:  # noqa: ARG002
        """Keep the decayed counts of all products, however rare."""
        interactions = inputs.interactions
        self.weights_ = interactions.matrix(interactions.features["decay_basket"])
        return self

    def scores(self, rows: Ints) -> SparseScores:
        """Look up the customers' counts."""
        return SparseScores(self.weights_[rows])
