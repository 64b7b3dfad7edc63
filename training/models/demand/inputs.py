"""Demand features in; the columns that a booster reads, and its initial forecast, out."""

import numpy as np
import polars as pl

from features.demand.builder import PREFIXES
from features.demand.grain import Grain
from features.demand.plan_features import without_plan
from features.typing import Floats

# A booster memorises an absolute price; changes it cannot memorise. The last price is read by
# `price_response` alone.
_EXCLUDED = ("level_now", "price_planned", "price_last")
# A booster memorises one category of hundreds, or one of a few rows.
_MAX_VALUES, _MIN_ROWS = 100, 400


def input_columns(rows: pl.DataFrame) -> list[str]:
    """Return the columns that boosters may read, of the rows that they are fitted on."""
    columns = [c for c in rows.columns if c.startswith(PREFIXES) and c not in _EXCLUDED]
    return [c for c in columns if not c.startswith("group_") or _is_learnable(rows.get_column(c))]


def _is_learnable(group: pl.Series) -> bool:
    """Whether a group has few values, with enough rows each."""
    values = group.n_unique()
    return 1 < values <= min(_MAX_VALUES, len(group) // _MIN_ROWS)


def excluded_columns(grain: Grain, member: int) -> tuple[str, ...]:
    """Return the features that one member of the ensemble leaves out.

    Last year's sales of a single product are as often noise as season: every second member
    reads only those of its groups.
    """
    own = ("season_year_own", "season_same_own", "season_before_own")
    return own if member % 2 and "product_id" in grain.keys else ()


def expected_units(frame: pl.DataFrame) -> Floats:
    """Return the units of each row by the recent level and the weekday's share of it."""
    level, share = (frame.get_column(c).to_numpy() for c in ("level_now", "weekday_factor"))
    units: Floats = level * np.maximum(share, 0.02)
    return units


def with_usual_plan(frame: pl.DataFrame) -> pl.DataFrame:
    """Return features under unknown promotions and the last prices; the frame itself without plans.

    What a plan adds to a forecast is the ratio of both.
    """
    usual = without_plan(frame, np.ones(frame.height, dtype=bool)) if _planned(frame) else frame
    if {"price_last", "price_relative", "price_gain", "price_effect"} <= set(frame.columns):
        known = pl.col("price_relative").is_not_nan()
        change = (pl.col("price_relative").log() - pl.col("price_last")) * pl.col("price_effect")
        usual = usual.with_columns(
            pl.when(known).then(pl.col("price_last").exp()).alias("price_relative"),
            pl.when(known).then(pl.col("price_gain") - change).otherwise("price_gain"),
        )
    return usual


def _planned(frame: pl.DataFrame) -> bool:
    return any(name.startswith("promotion_planned_") for name in frame.columns)
