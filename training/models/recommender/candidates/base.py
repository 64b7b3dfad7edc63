"""The contract of candidate generators, their inputs, and containers of their scores.

What is known at an instant in; scores of products for blocks of customers out. A new generator
is a module with one class, and a line in `default_generators`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, Self

import numpy as np
from scipy import sparse

from features.calendar import to_day
from features.dataset import Dataset
from features.memo import memo
from features.typing import Bools, Float32s, Ints
from training.models.recommender.inputs.interactions import (
    Interactions,
    find_sorted,
    interactions_at,
)
from training.models.recommender.inputs.locations import CustomerLocations
from training.models.recommender.inputs.promotions import PromotionPlan
from training.models.recommender.inputs.top_k import at_least_kth_largest


@dataclass(frozen=True)
class RecommenderInputs:
    """What generators are fitted on: a dataset, an instant, and what is known at it."""

    dataset: Dataset
    as_of: datetime
    interactions: Interactions
    locations: CustomerLocations
    plan: PromotionPlan

    @property
    def day(self) -> int:
        """The day that begins at `as_of`."""
        return to_day(self.as_of)

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, interactions: Interactions) -> Self:
        """Collect locations and promotions beside the interactions."""
        locations = CustomerLocations.build(dataset, as_of, interactions)
        plan = PromotionPlan.build(dataset, as_of, interactions, locations)
        return cls(dataset, as_of, interactions, locations, plan)


@memo()
def inputs_at(dataset: Dataset, as_of: datetime) -> RecommenderInputs:
    """Collect the inputs at `as_of`, once per dataset and instant."""
    return RecommenderInputs.build(dataset, as_of, interactions_at(dataset, as_of))


class Scores(Protocol):
    """Scores of a block of customers by one generator; products above zero are candidates."""

    def top(self, limit: int, exclude: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Return the products with the `limit` highest scores of each customer.

        Parameters
        ----------
        exclude
            Positions in the block and codes of products that are not candidates.

        Returns
        -------
        tuple
            Positions in the block, and codes of products.
        """
        ...

    def lookup(self, positions: Ints, products: Ints) -> Float32s:
        """Return the scores of pairs; NaN for products that the generator does not score."""
        ...


class CandidateGenerator(Protocol):
    """Proposes products to customers.

    Attributes
    ----------
    name
        Names the features `score_<name>` and `rank_<name>` of the ranker.
    reason
        Code in answers for products that this generator ranks highest.
    limit
        Largest number of candidates per customer.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    limit: int

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Fit to the inputs.

        Parameters
        ----------
        cols
            Ascending codes of the products that are scored for all customers.
        """
        ...

    def scores(self, rows: Ints) -> Scores:
        """Score products for the customers `rows`."""
        ...


@dataclass(frozen=True)
class DenseScores:
    """Scores of the products `cols`, ascending, for every customer of a block."""

    cols: Ints
    values: Float32s

    def top(self, limit: int, exclude: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Return positions and codes of the highest scores of each row."""
        rows, column = exclude[0], find_sorted(self.cols, exclude[1])
        values = np.array(self.values)
        values[rows[column >= 0], column[column >= 0]] = 0.0
        positions, columns = np.nonzero(mark_top(values, limit))
        return positions, self.cols[columns]

    def lookup(self, positions: Ints, products: Ints) -> Float32s:
        """Return the scores of pairs; NaN for products outside `cols`."""
        column = find_sorted(self.cols, products)
        scores = np.where(column >= 0, self.values[positions, column], np.nan)
        return scores.astype(np.float32)


@dataclass(frozen=True)
class SparseScores:
    """Scores of a few products of each customer of a block, zero for all others."""

    values: sparse.csr_matrix

    def top(self, limit: int, exclude: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Return positions and codes of the highest scores of each row; ties by product code."""
        positions, columns = self._positions(), self.values.indices
        allowed = np.ones(self.values.shape, bool)
        allowed[exclude] = False
        kept = allowed[positions, columns] & (self.values.data > 0)
        positions, columns, scores = positions[kept], columns[kept], self.values.data[kept]
        kept = at_least_kth_largest(positions, scores, limit, self.values.shape[0])
        positions, columns, scores = positions[kept], columns[kept], scores[kept]
        order = np.lexsort((columns, -scores, positions))
        rank = np.arange(len(order)) - np.searchsorted(positions, positions)
        chosen = np.sort(order[rank < limit])
        return positions[chosen], columns[chosen].astype(np.int64)

    def lookup(self, positions: Ints, products: Ints) -> Float32s:
        """Return the scores of pairs."""
        if not self.values.nnz:
            return np.zeros(len(positions), np.float32)
        width = self.values.shape[1]
        keys = self._positions() * width + self.values.indices
        entry = find_sorted(keys, positions * width + products)
        return np.where(entry >= 0, self.values.data[entry], 0.0).astype(np.float32)

    def _positions(self) -> Ints:
        """Row of each stored value."""
        lengths = np.diff(self.values.indptr)
        return np.repeat(np.arange(len(lengths)), lengths)


def mark_top(scores: Float32s, limit: int) -> Bools:
    """Mark the `limit` largest scores above zero of each row; ties by column."""
    if scores.shape[1] <= limit:
        return np.asarray(scores > 0)
    threshold = np.partition(scores, scores.shape[1] - limit, axis=1)[:, -limit][:, None]
    marked: Bools = (scores >= threshold) & (scores > 0)
    crowded = np.flatnonzero(marked.sum(axis=1) > limit)
    above = scores[crowded] > threshold[crowded]
    tied = scores[crowded] == threshold[crowded]
    free = limit - above.sum(axis=1, keepdims=True)
    marked[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= free))
    return marked
