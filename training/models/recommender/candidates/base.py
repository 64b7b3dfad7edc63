"""What a candidate source is: it proposes products that a customer may buy, with scores.

What is known at an instant in; scores for blocks of customers out. A further source is one
more file with one more class, and a line in the package's list.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.calendar import to_day
from features.dataset import Dataset
from features.memo import memo
from features.typing import Float32s, Ints
from training.models.recommender.inputs.interactions import Interactions, find_sorted, known_at
from training.models.recommender.inputs.locations import Places
from training.models.recommender.inputs.promotions import Plan
from training.models.recommender.inputs.top_k import at_least_kth_largest

# Neighbours and item weights are learned from at most so many customers.
MAX_REFERENCES = 5000


@dataclass(frozen=True)
class RecommenderInputs:
    """What sources learn from: the records, an instant, and what was known at it."""

    dataset: Dataset
    as_of: datetime
    known: Interactions
    places: Places
    plan: Plan

    @property
    def day(self) -> int:
        """The day that begins."""
        return to_day(self.as_of)

    @classmethod
    def at(cls, dataset: Dataset, as_of: datetime, known: Interactions) -> Self:
        """Collect what the histories do not hold."""
        places = Places.at(dataset, as_of, known)
        return cls(dataset, as_of, known, places, Plan.at(dataset, as_of, known, places))


@memo()
def inputs_at(dataset: Dataset, as_of: datetime) -> RecommenderInputs:
    """Collect what methods that answer at `as_of` learn from, once for all of them."""
    return RecommenderInputs.at(dataset, as_of, known_at(dataset, as_of))


class Scores(Protocol):
    """A source's scores of a block of customers; above zero is a proposal."""

    def best(self, limit: int, without: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Propose the products with the `limit` best scores of each customer.

        Parameters
        ----------
        without
            Positions in the block and codes of products that are not to be proposed.

        Returns
        -------
        tuple
            Positions in the block, and codes of products.
        """
        ...

    def at(self, positions: Ints, products: Ints) -> Float32s:
        """Scores of pairs; NaN where the source does not know the product."""
        ...


class Source(Protocol):
    """Proposes products.

    Attributes
    ----------
    name
        Of the feature that its score becomes, and of its share of hits in reports.
    reason
        What a person is told about a product that it proposed.
    limit
        Products that it proposes to each customer.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    limit: int

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Learn to score products; `cols` are those worth scoring for everyone."""
        ...

    def scores(self, rows: Ints) -> Scores:
        """Score products for the customers `rows`."""
        ...


@dataclass(frozen=True)
class Dense:
    """Scores of the products `cols`, ascending, for every customer of a block."""

    cols: Ints
    values: Float32s

    def best(self, limit: int, without: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Positions and codes of the best of each row."""
        rows, column = without[0], find_sorted(self.cols, without[1])
        values = np.array(self.values)
        values[rows[column >= 0], column[column >= 0]] = 0.0
        positions, columns = np.nonzero(best(values, limit))
        return positions, self.cols[columns]

    def at(self, positions: Ints, products: Ints) -> Float32s:
        """Look pairs up."""
        column = find_sorted(self.cols, products)
        found = np.where(column >= 0, self.values[positions, column], np.nan)
        return found.astype(np.float32)


@dataclass(frozen=True)
class Sparse:
    """Scores of some products of each customer of a block; what has none is at zero."""

    values: sparse.csr_matrix

    def best(self, limit: int, without: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Positions and codes of the best of each row; ties go to the lower code."""
        lengths = np.diff(self.values.indptr)
        positions, columns = np.repeat(np.arange(len(lengths)), lengths), self.values.indices
        may = np.ones(self.values.shape, bool)
        may[without] = False
        asked = may[positions, columns] & (self.values.data > 0)
        positions, columns, scores = positions[asked], columns[asked], self.values.data[asked]
        near = at_least_kth_largest(positions, scores, limit, len(lengths))
        positions, columns, scores = positions[near], columns[near], scores[near]
        order = np.lexsort((columns, -scores, positions))
        place = np.arange(len(order)) - np.searchsorted(positions, positions)
        kept = np.sort(order[place < limit])
        return positions[kept], columns[kept].astype(np.int64)

    def at(self, positions: Ints, products: Ints) -> Float32s:
        """Look pairs up."""
        if not self.values.nnz:
            return np.zeros(len(positions), np.float32)
        width = self.values.shape[1]
        lengths = np.diff(self.values.indptr)
        keys = np.repeat(np.arange(len(lengths)) * width, lengths) + self.values.indices
        at = find_sorted(keys, positions * width + products)
        return np.where(at >= 0, self.values.data[at], 0.0).astype(np.float32)


def best(scores: Float32s, limit: int) -> NDArray[np.bool_]:
    """Mark the `limit` largest scores above zero of each row; ties go to the first."""
    if scores.shape[1] <= limit:
        return np.asarray(scores > 0)
    floor = np.partition(scores, scores.shape[1] - limit, axis=1)[:, -limit][:, None]
    marked: NDArray[np.bool_] = (scores >= floor) & (scores > 0)
    many = np.flatnonzero(marked.sum(axis=1) > limit)
    above, tied = scores[many] > floor[many], scores[many] == floor[many]
    left = limit - above.sum(axis=1, keepdims=True)
    marked[many] = above | (tied & (np.cumsum(tied, axis=1) <= left))
    return marked


def references(histories: Interactions) -> Ints:
    """Choose customers to learn from: all, or an even pick of `MAX_REFERENCES`."""
    customers = histories.shape[0]
    if customers <= MAX_REFERENCES:
        return np.arange(customers)
    return np.linspace(0, customers - 1, MAX_REFERENCES).astype(np.int64)


def nearest(similarity: NDArray[np.floating], k: int) -> sparse.csr_matrix:
    """Keep the `k` largest of each row."""
    at = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(similarity, at, axis=1).astype(np.float32)
    starts = np.arange(0, at.size + 1, k)
    return sparse.csr_matrix((values.ravel(), at.ravel(), starts), shape=similarity.shape)
