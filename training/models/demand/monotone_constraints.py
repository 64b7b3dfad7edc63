"""Training rows in, directions in which a forecast may not turn out; a part of the demand model.

A deeper discount never lowers a forecast, and a higher price never raises it, where the rows
say that demand answers so: then the boosting is held to it, and it is not where they do not.
"""

import numpy as np
import polars as pl

from features.demand.panel import DEPTH
from features.typing import Floats

# What each feature's direction rests on: the feature that is asked whether demand answers.
_PRICE = "price_relative"
_DEPTH = f"promotion_planned_{DEPTH}"
_DIRECTIONS = {
    _PRICE: {"price_relative": -1, "price_below_high": -1, "price_gain": 1},
    _DEPTH: {
        _DEPTH: 1,
        f"promotion_change_{DEPTH}": 1,
        f"promotion_gain_{DEPTH}": 1,
    },
}


def signs(features: pl.DataFrame, units: Floats, level: Floats) -> dict[str, int]:
    """Return 1 for features with which a forecast may only rise, -1 where it may only fall."""
    found: dict[str, int] = {}
    for asked, directions in _DIRECTIONS.items():
        if asked not in features.columns:
            continue
        values = features.get_column(asked).to_numpy().astype(np.float64)
        known = ~np.isnan(values)
        if (
            not known.any()
            or _slope(values[known], units[known], level[known]) * (directions[asked]) <= 0
        ):
            continue
        found |= {name: sign for name, sign in directions.items() if name in features.columns}
    return found


def _slope(values: Floats, units: Floats, level: Floats) -> float:
    """Say in which direction units over level move with a value, rows counted by their level."""
    weights = level / level.sum()
    centred = values - (weights * values).sum()
    return float((centred * (units - level * units.sum() / level.sum())).sum())
