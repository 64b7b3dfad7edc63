"""Candidate sources: each proposes products that a customer may buy next, with scores.

Histories in; scores for blocks of customers over a shared list of products out. A further
source is one more class with the same three things, listed in `default_sources`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from training.models.histories import Float32s, Histories, Ints

# Neighbours and item weights are learned from at most so many customers.
MAX_REFERENCES = 5000


class Source(Protocol):
    """Proposes products.

    Attributes
    ----------
    name
        Of the feature that its score becomes.
    reason
        What a person is told about a product that it proposed.
    limit
        Products that it proposes to each customer.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    limit: int

    def fit(self, histories: Histories, cols: Ints) -> Self:
        """Learn from histories to score the products `cols`."""
        ...

    def scores(self, rows: Ints) -> Float32s:
        """Score for the customers `rows`, shape (rows, cols); above zero is a proposal."""
        ...


def references(histories: Histories) -> Ints:
    """Choose customers to learn from: all, or an even pick of `MAX_REFERENCES`."""
    customers = histories.shape[0]
    if customers <= MAX_REFERENCES:
        return np.arange(customers)
    return np.linspace(0, customers - 1, MAX_REFERENCES).astype(np.int64)


@dataclass
class Popular:
    """What most baskets of the last 28 days held; the same for everyone."""

    name: ClassVar[str] = "popular"
    reason: ClassVar[str] = "popular"
    limit: int = 100
    popularity_: Float32s = field(init=False, repr=False)

    def fit(self, histories: Histories, cols: Ints) -> Self:
        """Count baskets."""
        self.popularity_ = histories.popularity()[cols].astype(np.float32)
        return self

    def scores(self, rows: Ints) -> Float32s:
        """Repeat the counts for each customer."""
        return np.broadcast_to(self.popularity_, (len(rows), len(self.popularity_)))


@dataclass
class Ease:
    """Item-to-item weights by ridge regression of each product on all others.

    Source: EASE, Steck 2019 (arXiv:1905.03375), on log counts: with P the inverse of
    X'X + l2 I, the weights are I - P / diag(P).
    """

    name: ClassVar[str] = "ease"
    reason: ClassVar[str] = "similar"
    limit: int = 50
    l2: float = 200.0
    x_: sparse.csr_matrix = field(init=False, repr=False)
    weights_: Float32s = field(init=False, repr=False)

    def fit(self, histories: Histories, cols: Ints) -> Self:
        """Solve for the weights."""
        self.x_ = histories.matrix(np.log1p(histories.pairs["baskets"]), cols)
        gram = (self.x_.T @ self.x_).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = -inverse / np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0.0
        self.weights_ = weights.astype(np.float32)
        return self

    def scores(self, rows: Ints) -> Float32s:
        """Weigh the customers' log counts; row by row, so that blocks do not matter."""
        found: Float32s = self.x_[rows] @ self.weights_
        return found


@dataclass
class Neighbours:
    """Mean of the decayed baskets of the customers who are nearest.

    Source: TIFU-KNN, Hu et al. 2020 (arXiv:2006.00556), with one group: a customer is the
    mean of their baskets, each decayed by its age in baskets; distance is Euclidean. Vectors
    of unit length propose better (NDCG@10 .126 against .110 on the bundled data).
    """

    name: ClassVar[str] = "neighbours"
    reason: ClassVar[str] = "neighbours"
    limit: int = 40
    k: int = 100
    unit_length: bool = True
    vectors_: sparse.csr_matrix = field(init=False, repr=False)
    among_: Ints = field(init=False, repr=False)
    seen_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, histories: Histories, cols: Ints) -> Self:
        """Lay out the customers' vectors."""
        decay = histories.pairs["decay_basket"]
        if self.unit_length:
            squares = np.bincount(histories.rows, decay * decay, histories.shape[0])
            scale = np.sqrt(squares)
        else:
            scale = histories.customer["customer_baskets"].astype(np.float64)
        self.vectors_ = histories.matrix((decay / scale[histories.rows]).astype(np.float32))
        self.among_ = references(histories)
        self.seen_ = self.vectors_[self.among_][:, cols]
        return self

    def scores(self, rows: Ints) -> Float32s:
        """Average the nearest."""
        among = self.vectors_[self.among_]
        lengths = np.asarray(among.multiply(among).sum(axis=1)).ravel()
        near = 2 * (self.vectors_[rows] @ among.T).toarray() - lengths
        near[rows[:, None] == self.among_] = -np.inf
        weights = nearest(near, min(self.k, near.shape[1]))
        weights.data[:] = 1.0 / self.k
        found: Float32s = (weights @ self.seen_).toarray()
        return found


@dataclass
class UserPopularity:
    """What customers with a similar range bought in their last ten baskets.

    Source: UP-CF, Faggioli, Polato and Aiolli 2020 (recency aware collaborative filtering
    for next basket recommendation): asymmetric cosine of the ranges, to the power of q.
    """

    name: ClassVar[str] = "user_popularity"
    reason: ClassVar[str] = "neighbours"
    limit: int = 40
    alpha: float = 0.75
    q: float = 5.0
    k: int = 300
    ranges_: sparse.csr_matrix = field(init=False, repr=False)
    among_: Ints = field(init=False, repr=False)
    recent_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, histories: Histories, cols: Ints) -> Self:
        """Lay out the customers' ranges and their recent shares."""
        ones = np.ones(len(histories.rows), np.float32)
        self.ranges_ = histories.matrix(ones)
        self.among_ = references(histories)
        last = np.minimum(10, histories.customer["customer_baskets"])[histories.rows]
        share = (histories.pairs["baskets_last_10"] / last).astype(np.float32)
        self.recent_ = histories.matrix(share)[self.among_][:, cols]
        return self

    def scores(self, rows: Ints) -> Float32s:
        """Sum the recent shares, weighted by similarity."""
        ranges, among = self.ranges_[rows], self.ranges_[self.among_]
        common = (ranges @ among.T).toarray()
        mine = np.maximum(np.asarray(ranges.sum(axis=1)), 1.0) ** self.alpha
        theirs = np.maximum(np.asarray(among.sum(axis=1)), 1.0).ravel() ** (1 - self.alpha)
        near = (common / mine / theirs).astype(np.float32) ** np.float32(self.q)
        weights = nearest(near, min(self.k, near.shape[1]))
        found: Float32s = (weights @ self.recent_).toarray()
        return found


def nearest(similarity: NDArray[np.floating], k: int) -> sparse.csr_matrix:
    """Keep the `k` largest of each row."""
    at = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(similarity, at, axis=1).astype(np.float32)
    starts = np.arange(0, at.size + 1, k)
    return sparse.csr_matrix((values.ravel(), at.ravel(), starts), shape=similarity.shape)


def default_sources() -> list[Source]:
    """List the sources besides a customer's own products."""
    return [Ease(), Neighbours(), UserPopularity(), Popular()]


def best(scores: Float32s, limit: int) -> NDArray[np.bool_]:
    """Mark the `limit` largest scores above zero of each row."""
    limit = min(limit, scores.shape[1])
    floor = np.partition(scores, scores.shape[1] - limit, axis=1)[:, -limit][:, None]
    marked: NDArray[np.bool_] = (scores >= floor) & (scores > 0)
    return marked


def own(histories: Histories, rows: Ints, limit: int) -> tuple[Ints, Ints]:
    """Pairs of the customers `rows` with their own products, the `limit` liveliest of each.

    Returns
    -------
    tuple
        Positions in `rows`, and codes of products; ordered by both.
    """
    starts = np.searchsorted(histories.rows, rows)
    ends = np.searchsorted(histories.rows, rows, side="right")
    decay = histories.pairs["decay_basket"]
    found_rows, found_cols = [], []
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        at = np.arange(start, end)
        if len(at) > limit:
            at = np.sort(at[np.argsort(-decay[start:end], kind="stable")[:limit]])
        found_rows.append(np.full(len(at), position))
        found_cols.append(histories.cols[at])
    return np.concatenate(found_rows), np.concatenate(found_cols)


def collect(
    histories: Histories,
    rows: Ints,
    cols: Ints,
    scores: Sequence[Float32s],
    limits: Sequence[int],
    own_limit: int,
) -> tuple[Ints, Ints]:
    """Unite the proposals of all sources with the customers' own products.

    Parameters
    ----------
    rows, cols
        The customers of the block; the products that the sources score.
    scores, limits
        Of each source.

    Returns
    -------
    tuple
        Positions in `rows`, and codes of products; ordered by both.
    """
    marked = np.zeros((len(rows), histories.shape[1]), bool)
    proposed = np.zeros((len(rows), len(cols)), bool)
    for block, limit in zip(scores, limits, strict=True):
        proposed |= best(block, limit)
    marked[:, cols] = proposed
    marked[own(histories, rows, own_limit)] = True
    positions, products = np.nonzero(marked)
    return positions, products
