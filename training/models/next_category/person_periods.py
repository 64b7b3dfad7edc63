"""Person-periods of customers and categories: features at a cutoff in, one row a pair and bin out.

A row has the pair's features and what changes with the bin, such as the days since the last
purchase from the category.
"""

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.typing import Floats, Ints

# Purchases from a category are not predictable to the day: bins are two days wide, after four weeks
# four days.
BIN_DAYS, LATE_BIN_DAYS, LATE = 2, 4, 28
# Features that grow with the length of the records: a value of heavy buyers at an early cutoff is
# that of all customers at a late one, and probabilities would be too high.
UNUSED = ("purchases", "tenure", "customer_visits", "gap_max", "gaps_longer", "category_pairs")


def bin_edges(horizon_days: int) -> Ints:
    """Return the first days of the bins, and the horizon."""
    edges = [*range(0, LATE, BIN_DAYS), *range(LATE, max(horizon_days, LATE), LATE_BIN_DAYS)]
    return np.array([day for day in edges if day < horizon_days] + [horizon_days])


def process_input(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return frequency, recency and age of purchases from a category, in days."""
    purchases, tenure, recency = (
        features.get_column(name).to_numpy() for name in ("purchases", "tenure", "recency")
    )
    return purchases - 1, tenure - recency, tenure


def expand(features: pl.DataFrame, edges: Ints, rows: Ints, bins: Ints) -> pl.DataFrame:
    """Return one row for each row of `features` and bin: the features, and those of the bin.

    Parameters
    ----------
    features
        One row a customer and category, as `cutoffs.pairs` returns them.
    edges
        First days of the bins, and the horizon.
    rows, bins
        Rows of `features` and numbers of the bins, of equal length.
    """
    start, end = edges[bins].astype(np.float64), edges[bins + 1].astype(np.float64)
    middle = (start + end) / 2
    values = {
        name: features.get_column(name).to_numpy()[rows]
        for name in ("recency", "gap_mean", "gap_median", "gap_sd", "customer_gap_median")
    }
    inactive = values["recency"] + middle
    columns = {
        "elapsed": start,
        "inactivity_now": inactive,
        "inactivity_over_gap_mean": inactive / values["gap_mean"],
        "inactivity_over_gap_median": inactive / np.maximum(values["gap_median"], 0.5),
        "inactivity_beyond_gap_mean": (inactive - values["gap_mean"]) / (values["gap_sd"] + 1),
        "elapsed_over_customer_gap": middle / np.maximum(values["customer_gap_median"], 0.5),
        "width": end - start,
    }
    return features.drop(*KEY, *UNUSED)[rows].with_columns(
        pl.Series(name, column) for name, column in columns.items()
    )
