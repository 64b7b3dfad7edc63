"""Decayed personal frequency: what the customer bought before, the liveliest first."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from scipy import sparse

from features.typing import Ints
from training.models.recommender.candidates.base import RecommenderInputs, Sparse


@dataclass
class Own:
    """The customer's own baskets with a product, each worth .95 of the next."""

    name: ClassVar[str] = "own"
    reason: ClassVar[str] = "repeat"
    limit: int = 200
    weights_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:  # noqa: ARG002
        """Lay the decayed counts out; of all products, however rare."""
        self.weights_ = moment.known.matrix(moment.known.pairs["decay_basket"])
        return self

    def scores(self, rows: Ints) -> Sparse:
        """Look the customers up."""
        return Sparse(self.weights_[rows])
