"""How much each past period counts: whole-number weights by lag, shared by demand features.

Weights enter sums as whole numbers: such sums do not depend on the order in which they are taken.
"""

import numpy as np

from features.demand.grain import Grain
from features.typing import Floats

# What stands for one in sums of whole numbers.
WHOLE = 1 << 14
# Weight of the newest period in each exponentially weighted mean.
DECAYS = {
    "day": {"fast": 0.2, "middle": 0.07, "slow": 0.02},
    "week": {"fast": 0.5, "middle": 0.2, "slow": 0.08},
}


def lag_weights(grain: Grain, length: int) -> dict[str, Floats]:
    """Weight of each of the last `length` periods, oldest first, in each weighted mean."""
    lag = np.arange(length, 0, -1)
    return {
        name: np.round(WHOLE * (1 - decay) ** (lag - 1))
        for name, decay in DECAYS[grain.freq].items()
    }


def divide_or_zero(sums: Floats, weights: Floats) -> Floats:
    """Divide weighted sums by their weights, zero where there is nothing to divide by."""
    found: Floats = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    return found
