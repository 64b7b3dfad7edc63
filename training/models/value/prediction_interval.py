"""The range of what customers spend around what is expected, learnt from answers that came true.

Expected orders, expected spend and what was spent go in; the 10 % and the 90 % quantile come out.
Value reads it. How far spend strays depends on how many orders are expected: of few, none may come.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.typing import Floats

LOW, HIGH = 0.1, 0.9
# Customers alike in expected orders among whom a quantile is looked up.
BINS, FEWEST_IN_A_BIN = 20, 60


@dataclass(frozen=True)
class MoneyRange:
    """Quantiles of spend over expected spend, by expected orders.

    Attributes
    ----------
    log_orders
        Mean log of expected orders of each bin, ascending.
    low, high
        Quantiles of spend over expected spend in each bin.
    """

    log_orders: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, orders: Floats, spend: Floats, spent: Floats) -> Self:
        """Read the quantiles off bins of customers with as many expected orders."""
        order = np.argsort(orders, kind="stable")
        bins = int(np.clip(len(order) // FEWEST_IN_A_BIN, 1, BINS))
        parts = [part for part in np.array_split(order, bins) if len(part)]
        ratio = spent / np.maximum(spend, 1e-9)
        logs = np.log(np.maximum(orders, 1e-9))
        return cls(
            tuple(float(logs[part].mean()) for part in parts),
            tuple(float(np.quantile(ratio[part], LOW)) for part in parts),
            tuple(float(np.quantile(ratio[part], HIGH)) for part in parts),
        )

    def of(self, orders: Floats, spend: Floats) -> tuple[Floats, Floats]:
        """Return both quantiles, the expectation between them; beyond the bins the last hold."""
        logs = np.log(np.maximum(orders, 1e-9))
        low = np.interp(logs, self.log_orders, self.low)
        high = np.interp(logs, self.log_orders, self.high)
        return spend * np.minimum(low, 1.0), spend * np.maximum(high, 1.0)
