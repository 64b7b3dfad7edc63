"""80 % prediction interval of spend: expected orders and spend in, 10 % and 90 % quantiles out.

The width depends on the expected orders: of few expected orders, none may be placed.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.typing import Floats

LOW, HIGH = 0.1, 0.9
# Customers are binned by expected orders to estimate quantiles.
BINS, MIN_PER_BIN = 20, 60


@dataclass(frozen=True)
class SpendInterval:
    """Quantiles of spend relative to expected spend, by expected orders.

    Attributes
    ----------
    log_orders
        Mean log of the expected orders of each bin, ascending.
    low, high
        Quantiles of spend over expected spend in each bin.
    """

    log_orders: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, orders: Floats, spend: Floats, spent: Floats) -> Self:
        """Estimate the quantiles in bins of customers with similar expected orders.

        Parameters
        ----------
        orders, spend
            Expected orders and spend.
        spent
            Observed spend.
        """
        order = np.argsort(orders, kind="stable")
        bins = int(np.clip(len(order) // MIN_PER_BIN, 1, BINS))
        parts = [part for part in np.array_split(order, bins) if len(part)]
        ratio = spent / np.maximum(spend, 1e-9)
        logs = np.log(np.maximum(orders, 1e-9))
        return cls(
            tuple(float(logs[part].mean()) for part in parts),
            tuple(float(np.quantile(ratio[part], LOW)) for part in parts),
            tuple(float(np.quantile(ratio[part], HIGH)) for part in parts),
        )

    def quantiles(self, orders: Floats, spend: Floats) -> tuple[Floats, Floats]:
        """Return both quantiles of spend, with the expected spend between them.

        Between bins, ratios are interpolated; outside them those of the outermost bin hold.
        """
        logs = np.log(np.maximum(orders, 1e-9))
        low = np.interp(logs, self.log_orders, self.low)
        high = np.interp(logs, self.log_orders, self.high)
        return spend * np.minimum(low, 1.0), spend * np.maximum(high, 1.0)
