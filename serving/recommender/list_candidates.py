"""Products that a list is chosen from, with their scores and the basis of these."""

from dataclasses import dataclass

from features.typing import Floats, Int32s, Ints
from training.models.recommender.index.candidate_scoring import Candidates

# With fewer baskets, a list rests more on other customers' purchases than on the customer's.
FEW_BASKETS = 3


@dataclass(frozen=True)
class ListCandidates:
    """Products that a list is chosen from.

    Attributes
    ----------
    basis
        `history`, `few_purchases`, `session` or `population`.
    codes, scores
        Product codes and scores.
    candidates, positions
        Scored candidates of the customer, and the positions among them of the first products.
    reason
        Reason of the products that are not among them.
    """

    basis: str
    codes: Int32s
    scores: Floats
    candidates: Candidates | None = None
    positions: Ints | None = None
    reason: str = "popular"

    @property
    def scored(self) -> int:
        """Number of products that are candidates of the customer; they come first."""
        return 0 if self.positions is None else len(self.positions)


def basis_of(baskets: int) -> str:
    """Return the basis of a list for a customer with some baskets."""
    return "few_purchases" if baskets < FEW_BASKETS else "history"
