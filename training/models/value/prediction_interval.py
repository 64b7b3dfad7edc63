"""80 % prediction interval of spend: expected orders and spend per order in, quantiles out.

The width depends on the expected orders: of few expected orders, none may be placed. Quantiles and
the width of the interval never fall as expected orders rise, nor do they over more days ahead.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.typing import Floats

LOW, HIGH = 0.1, 0.9
# Customers are binned by expected orders to estimate quantiles.
BINS, MIN_PER_BIN = 20, 60
TINY = 1e-9


@dataclass(frozen=True)
class SpendInterval:
    """Quantiles of spend, in units of the spend per order, by expected orders.

    Attributes
    ----------
    orders
        Median of the expected orders of each bin, ascending.
    low, high
        Quantiles of each bin.
    """

    orders: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, orders: Floats, spend_per_order: Floats, spent: Floats) -> Self:
        """Estimate the quantiles in bins of customers with similar expected orders.

        Parameters
        ----------
        orders, spend_per_order
            Expected orders, and expected spend of each.
        spent
            Observed spend.
        """
        order = np.argsort(orders, kind="stable")
        bins = int(np.clip(len(order) // MIN_PER_BIN, 1, BINS))
        parts = [part for part in np.array_split(order, bins) if len(part)]
        ratio = spent / np.maximum(orders * spend_per_order, TINY)
        expected = np.array([np.median(orders[part]) for part in parts])
        low, high = (
            expected * np.array([np.quantile(ratio[part], level) for part in parts])
            for level in (LOW, HIGH)
        )
        low = np.maximum.accumulate(np.minimum(low, expected))
        width = np.maximum.accumulate(np.maximum(high, expected) - low)
        return cls(tuple(expected.tolist()), tuple(low.tolist()), tuple((low + width).tolist()))

    def quantiles(self, orders: Floats, spend_per_order: Floats) -> tuple[Floats, Floats]:
        """Return both quantiles of spend, with the expected spend between them.

        Between bins, quantiles are interpolated; outside them they are proportional to the orders.
        """
        beyond = np.maximum(orders / max(self.orders[-1], TINY), 1.0) * spend_per_order
        low, high = (
            np.interp(orders, (0.0, *self.orders), (0.0, *quantile)) * beyond
            for quantile in (self.low, self.high)
        )
        return low, high
