"""Weights of past periods by lag, for exponentially weighted means.

Weights are whole numbers, so that weighted sums do not depend on the order of their terms.
"""

import numpy as np

from features.demand.grain import Grain
from features.typing import Floats

# Integer weight of the newest period.
UNIT_WEIGHT = 1 << 14
# Share of the newest period in each exponentially weighted mean.
DECAYS = {
    "day": {"fast": 0.2, "middle": 0.07, "slow": 0.02},
    "week": {"fast": 0.5, "middle": 0.2, "slow": 0.08},
    "month": {"fast": 0.7, "middle": 0.4, "slow": 0.2},
}


def lag_weights(grain: Grain, length: int) -> dict[str, Floats]:
    """Return the weights of the last `length` periods, oldest first, by name of the mean."""
    lag = np.arange(length, 0, -1)
    return {
        name: np.round(UNIT_WEIGHT * (1 - decay) ** (lag - 1))
        for name, decay in DECAYS[grain.freq].items()
    }


def divide_or_zero(sums: Floats, weights: Floats) -> Floats:
    """Divide weighted sums by their weights; zero where the weights are zero."""
    quotient: Floats = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    return quotient
