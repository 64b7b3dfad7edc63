"""Population and report slices that the evaluations of customer models share.

A dataset and an instant go in; customer ids, task options and slice expressions come out.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from features.dataset import Dataset
from training.customers.cutoffs import customer_features
from training.customers.prediction import basis

# Customers with fewer days since the first purchase are reported as `newer`.
LONG_TENURE_DAYS = 182
# Features by which populations are compared: windows of equal length, so that they do not grow.
MAIN_FEATURES = ("recency", "visits_28", "lines_per_visit", "spend_28", "discount_share")


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Return the ids of all customers with a purchase before `as_of`."""
    return customer_features(dataset, as_of).select("customer_id")


def main_features(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Return the main features of all customers with a purchase, and `basis` of predictions."""
    features = customer_features(dataset, as_of)
    present = [name for name in MAIN_FEATURES if name in features.columns]
    return features.select(present).with_columns(basis(features))


def is_active(horizon_days: int) -> pl.Expr:
    """Return whether a customer bought within the last two horizons."""
    return pl.col("recency") <= 2 * horizon_days


def activity(horizon_days: int) -> pl.Expr:
    """Return the slice `activity`: `active` or `inactive` (see `is_active`)."""
    active = is_active(horizon_days)
    return pl.when(active).then(pl.lit("active")).otherwise(pl.lit("inactive")).alias("activity")


def slices(features: pl.DataFrame) -> list[pl.Expr]:
    """Return the slices `tenure` and, where spend is recorded, `spending` (thirds of customers)."""
    long = pl.col("tenure") >= LONG_TENURE_DAYS
    expressions = [
        pl.when(long).then(pl.lit("over_half_a_year")).otherwise(pl.lit("newer")).alias("tenure")
    ]
    if "spend_decayed_56" in features.columns:
        spend = pl.col("spend_decayed_56")
        low, high = spend.quantile(1 / 3), spend.quantile(2 / 3)
        level = pl.when(spend <= low).then(pl.lit("low")).when(spend <= high).then(pl.lit("middle"))
        expressions.append(level.otherwise(pl.lit("high")).alias("spending"))
    return expressions
