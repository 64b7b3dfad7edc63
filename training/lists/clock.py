"""When a product that a customer bought is due again, by the product's and their own rhythm."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.lists.arrays import Float32s

DUE, SOON, NOT_YET, LAPSED = "due", "soon", "not_yet", "lapsed"
SOON_DAYS = 7
# After so many gaps without it, a product is not late but given up.
MOST_GAPS = 3.0
# How many gaps of one's own the gap of all customers is worth.
PRIOR_GAPS = 1.0
DEFAULT_GAP_DAYS = 30.0


@dataclass(frozen=True)
class Clock:
    """When each product is expected again, in days from the instant asked about.

    Attributes
    ----------
    gap
        Expected days from one purchase to the next.
    expected
        Days until the next; below zero it is overdue.
    """

    gap: Float32s
    expected: Float32s

    def states(self) -> NDArray[np.str_]:
        """Say of each whether it is due, due within a week, not yet, or given up."""
        late = np.where(self.expected < -(MOST_GAPS - 1) * self.gap, LAPSED, DUE)
        return np.where(
            self.expected <= 0, late, np.where(self.expected <= SOON_DAYS, SOON, NOT_YET)
        )


def clock(times: ArrayLike, age: ArrayLike, own_gap: ArrayLike, product_gap: ArrayLike) -> Clock:
    """Expect the next purchase one gap after the last.

    The gap is the mean of the customer's own and the gap of all customers with the product,
    which counts as one more of their own.

    Parameters
    ----------
    times
        Baskets with the product, at least one.
    age
        Days since the last.
    own_gap
        Mean days between the customer's own, 0 with fewer than two.
    product_gap
        Mean days between two purchases of one customer, of all; NaN where unknown.
    """
    own = np.maximum(np.asarray(times, dtype=np.float32) - 1, 0)
    prior: NDArray[Any] = np.asarray(product_gap, dtype=np.float32)
    mean = np.asarray(own_gap, dtype=np.float32)
    prior = np.where(np.isnan(prior), np.where(own > 0, mean, DEFAULT_GAP_DAYS), prior)
    gap = (own * mean + PRIOR_GAPS * prior) / (own + PRIOR_GAPS)
    return Clock(gap.astype(np.float32), (gap - np.asarray(age, np.float32)).astype(np.float32))
