"""Training rows in, directions of promotion depth and price that the boosting is held to out.

A deeper discount never lowers a forecast, and a higher price never raises it, where demand in
the training rows moves in that direction; elsewhere the boosting is unconstrained.
"""

import numpy as np
import polars as pl

from features.demand.panel import DEPTH
from features.typing import Floats

# Constraints by the feature whose relation to demand is measured.
_PRICE = "price_relative"
_DEPTH = f"promotion_planned_{DEPTH}"
_DIRECTIONS = {
    _PRICE: {"price_relative": -1, "price_gain": 1},
    _DEPTH: {
        _DEPTH: 1,
        f"promotion_change_{DEPTH}": 1,
        f"promotion_gain_{DEPTH}": 1,
    },
}


def monotone_constraints(features: pl.DataFrame, units: Floats, level: Floats) -> dict[str, int]:
    """Return 1 for features with which a forecast may only rise, -1 where it may only fall.

    Parameters
    ----------
    features
        A row per label.
    units, level
        Label and expected units of each row.
    """
    constraints: dict[str, int] = {}
    for feature, directions in _DIRECTIONS.items():
        if feature not in features.columns:
            continue
        values = features.get_column(feature).to_numpy().astype(np.float64)
        known = ~np.isnan(values)
        if not known.any():
            continue
        slope = _slope(values[known], units[known], level[known])
        if slope * directions[feature] <= 0:
            continue
        constraints |= {c: sign for c, sign in directions.items() if c in features.columns}
    return constraints


def _slope(values: Floats, units: Floats, level: Floats) -> float:
    """Return the covariance of a value with units beyond their level, rows weighted by level."""
    weights = level / level.sum()
    centred = values - (weights * values).sum()
    return float((centred * (units - level * units.sum() / level.sum())).sum())
