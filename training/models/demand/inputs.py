"""Demand features in; the columns that a booster reads, and its initial forecast, out."""

import numpy as np
import polars as pl

from features.demand.builder import PREFIXES
from features.demand.grain import Grain
from features.typing import Floats

# A booster memorises one category of hundreds, or an absolute price; trends and changes it
# cannot memorise. The last price is read by `price_response` alone.
_EXCLUDED = ("level_now", "group_category", "price_planned", "price_last")


def input_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns that boosters may read."""
    return [c for c in frame.columns if c.startswith(PREFIXES) and c not in _EXCLUDED]


def excluded_columns(grain: Grain, member: int) -> tuple[str, ...]:
    """Return the features that one member of the ensemble leaves out.

    Last year's sales of a single product are as often noise as season: every second member
    reads only those of its groups.
    """
    return ("season_year_own",) if member % 2 and "product_id" in grain.keys else ()


def expected_units(frame: pl.DataFrame) -> Floats:
    """Return the units of each row by the recent level and the weekday's share of it."""
    level, share = (frame.get_column(c).to_numpy() for c in ("level_now", "weekday_factor"))
    units: Floats = level * np.maximum(share, 0.02)
    return units
