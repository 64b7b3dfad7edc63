"""Person-periods of categories: a customer's clock of a category, and how its silence grows.

Features of customers and categories go in, one row a pair and bin of days comes out; the next
purchase from a category learns and predicts the hazard of each bin from it.
"""

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.typing import Floats, Ints
from training.estimators.bg_nbd import ModifiedBgNbd

# Day-exact is out of reach of a category's clock: bins of two days, from four weeks on of four.
BIN_DAYS, LATE_BIN_DAYS, LATE = 2, 4, 28
# Not read, for they grow as records do: what stood for a heavy buyer at an early cut stands for
# everybody at a late one, and chances come out too high.
UNUSED = ("purchases", "tenure", "customer_visits", "gap_max", "gaps_longer", "category_pairs")


def bin_edges(horizon_days: int) -> Ints:
    """Return the bins' first days and the horizon."""
    edges = [*range(0, LATE, BIN_DAYS), *range(LATE, max(horizon_days, LATE), LATE_BIN_DAYS)]
    return np.array([day for day in edges if day < horizon_days] + [horizon_days])


def process_input(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return frequency, recency and age of purchases from a category, in days."""
    purchases, tenure, recency = (
        features.get_column(name).to_numpy() for name in ("purchases", "tenure", "recency")
    )
    return purchases - 1, tenure - recency, tenure


def expand(
    features: pl.DataFrame, process: ModifiedBgNbd, edges: Ints, rows: Ints, bins: Ints
) -> pl.DataFrame:
    """Return a row for each pair of row and bin: the features, and what the bin adds.

    Parameters
    ----------
    features
        One row a customer and category, as of `category_cuts.pairs`.
    process
        Whose hazard stands among the columns.
    edges
        First days of the bins, and the horizon.
    rows, bins
        The pairs: row of `features` and number of the bin.
    """
    start, end = edges[bins].astype(np.float64), edges[bins + 1].astype(np.float64)
    middle = (start + end) / 2
    of = {
        name: features.get_column(name).to_numpy()[rows]
        for name in ("recency", "gap_mean", "gap_median", "gap_sd", "customer_gap_median")
    }
    x, t_x, t = (values[rows] for values in process_input(features))
    silent = process.inactivity(x, t_x, t, np.stack([start, end]))
    chance = np.clip(1 - silent[1] / np.maximum(silent[0], 1e-12), 1e-5, 1 - 1e-5)
    silence = of["recency"] + middle
    columns = {
        "elapsed": start,
        "silence_now": silence,
        "silence_over_gap_mean": silence / of["gap_mean"],
        "silence_over_gap_median": silence / np.maximum(of["gap_median"], 0.5),
        "silence_beyond_gap_mean": (silence - of["gap_mean"]) / (of["gap_sd"] + 1),
        "elapsed_over_customer_gap": middle / np.maximum(of["customer_gap_median"], 0.5),
        "process_hazard": np.log(chance / (1 - chance)),
        "width": end - start,
    }
    return features.drop(*KEY, *UNUSED)[rows].with_columns(
        pl.Series(name, values) for name, values in columns.items()
    )
