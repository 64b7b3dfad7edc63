"""Person-periods of customers: features at a cutoff in, one row a customer and bin of days out.

A row has the customer's features and what changes with the bin, such as the days since the last
purchase.
"""

import numpy as np
import polars as pl

from features.typing import Floats, Ints
from training.estimators.bg_nbd import BgNbd, purchase_history

# Prefixes of features that identify customers rather than describe how they buy: the same customers
# occur at every cutoff, and trees would memorise them.
UNUSED = (
    "weekday",
    "products",
    "categories",
    "locations",
    "channels",
    "return",
    "touches",
    "discount",
    "gap_max",
    "spend_trend",
    "inactivity",
    "recency_of_visit",
    "gaps_as_long",
    "tenure_at",
    "spend_a_day",
    "lines_a_day",
    "visits_a_day",
    "visits_365",
    "visits_decayed_224",
)
# The weekday of the first day; Monday is 0.
WEEKDAY = "first_weekday"


def bin_edges(horizon_days: int) -> Ints:
    """Return the first days of the bins, and the horizon.

    Bins are one day wide, from day 14 on two days, from day 28 on four.
    """
    edges = [*range(14), *range(14, 28, 2), *range(28, max(horizon_days, 28), 4)]
    return np.array([day for day in edges if day < horizon_days] + [horizon_days])


def add_weekday(features: pl.DataFrame, day: int) -> pl.DataFrame:
    """Add the weekday of `day`, the cutoff of the features."""
    return features.with_columns(pl.lit(float((day + 3) % 7)).alias(WEEKDAY))


def expand(
    features: pl.DataFrame, process: BgNbd, edges: Ints, rows: Ints, bins: Ints
) -> pl.DataFrame:
    """Return one row for each pair of customer and bin.

    Parameters
    ----------
    features
        Customer features, as `add_weekday` returns them.
    process
        The buy-till-you-die model whose hazard is one of the columns.
    edges
        First days of the bins, and the horizon.
    rows, bins
        The pairs: row of `features` and number of the bin.

    Returns
    -------
    polars.DataFrame
        The features, and of the bin: elapsed days at its start; days since the last purchase at
        its middle, absolute and relative to the customer's gaps; the hazard by the customer's gaps
        and by BG/NBD; its weekday, and the customer's share of visits on its weekdays.
    """
    used = [
        name
        for name in features.columns
        if name not in ("customer_id", WEEKDAY) and not name.startswith(UNUSED)
    ]
    start, end = edges[bins].astype(np.float64), edges[bins + 1].astype(np.float64)
    read = ["recency", "gap_mean", "gap_median", "gap_q90", WEEKDAY]
    read += [name for name in features.columns if name.startswith("inactive_")]
    values = {name: features.get_column(name).to_numpy()[rows] for name in read}
    inactive = values["recency"] + (start + end) / 2
    weekday = (values[WEEKDAY] + start) % 7
    columns = {
        "elapsed": start,
        "inactivity_now": inactive,
        "inactivity_over_gap_mean": inactive / values["gap_mean"],
        "inactivity_over_gap_median": inactive / values["gap_median"],
        "inactivity_over_gap_q90": inactive / values["gap_q90"],
        "own_hazard": _gap_hazard(values, start),
        "process_hazard": _process_hazard(features, process, rows, start, end),
        "weekday_now": np.where(end - start == 1, weekday, np.nan),
        "weekday_share": _weekday_share(
            features, rows, weekday.astype(np.int64), (end - start).astype(int)
        ),
    }
    return features.select(used)[rows].with_columns(
        pl.Series(name, column) for name, column in columns.items()
    )


def _gap_hazard(values: dict[str, Floats], start: Floats) -> Floats:
    """Return the daily hazard by the customer's gaps that were longer than the present one."""
    points = sorted(int(name.split("_")[1]) for name in values if name.startswith("inactive_"))
    survival = [np.ones(len(start)), *(values[f"inactive_{days}_more"] for days in points)]
    hazard = np.zeros(len(start))
    for k, (left, right) in enumerate(zip([0, *points], points, strict=False)):
        rows = start >= left
        hazard[rows] = np.log(survival[k][rows] / survival[k + 1][rows]) / (right - left)
    return hazard


def _process_hazard(
    features: pl.DataFrame, process: BgNbd, rows: Ints, start: Floats, end: Floats
) -> Floats:
    """Return the log-odds under BG/NBD of a purchase in the bin, given none before it."""
    frequency, recency, age = (values[rows] for values in purchase_history(features))
    none = process.inactivity(frequency, recency, age, np.stack([start, end]))
    hazard = np.clip(1 - none[1] / np.maximum(none[0], 1e-12), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(hazard / (1 - hazard)))


def _weekday_share(features: pl.DataFrame, rows: Ints, weekday: Ints, width: Ints) -> Floats:
    """Return 7 times the mean share of visits on the bin's weekdays; 1 if weekdays are alike."""
    shares = np.stack([features.get_column(f"weekday_share_{k}").to_numpy() for k in range(7)], 1)
    total = np.zeros(len(rows))
    for day in range(int(width.max(initial=0))):
        total += np.where(day < width, shares[rows, (weekday + day) % 7], 0.0)
    return np.asarray(7 * total / width)
