"""Orders and spend of a customer without a known purchase.

Customers at past cutoffs and their outcomes go in; what those with few visits ordered and paid
comes out, as for the curve of newcomers (`training.customers.timing_training`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats
from training.customers.prediction import FEW_VISITS
from training.customers.survival import NEW_CUSTOMER
from training.customers.timing_training import MIN_FEW_VISITS_EXAMPLES
from training.estimators.bg_nbd import BgNbd

TINY = 1e-9


@dataclass(frozen=True)
class Newcomer:
    """Mean orders and spend of customers with few visits.

    Attributes
    ----------
    days, orders
        Days ahead, and the mean orders within them.
    per_order
        Spend per order, in units of the typical spend; 0 if nothing was ordered.
    """

    days: int
    orders: float
    per_order: float

    @classmethod
    def measure(
        cls, days: int, frames: Sequence[pl.DataFrame], outcomes: Sequence[tuple[Floats, Floats]]
    ) -> Self:
        """Measure customers with few visits, or all customers if they are too few.

        Parameters
        ----------
        days, frames, outcomes
            Of each cutoff, features, and orders and spend within `days` after it.
        """
        few = np.concatenate([(rows["visits"] < FEW_VISITS).to_numpy() for rows in frames])
        chosen = few if few.sum() >= MIN_FEW_VISITS_EXAMPLES else np.ones_like(few)
        orders, spend = (
            float(np.concatenate(values)[chosen].mean()) for values in zip(*outcomes, strict=True)
        )
        return cls(days, orders, spend / max(orders, TINY))

    def expected_orders(self, process: BgNbd, days: int) -> Floats:
        """Return the orders within some days, which grow as those of a new customer under BG/NBD.

        Returns
        -------
        numpy.ndarray
            Shape (1,).
        """
        ahead, measured = (
            process.expected_purchases(*NEW_CUSTOMER, number) for number in (days, self.days)
        )
        return np.asarray(self.orders * ahead / np.maximum(measured, TINY))
