"""Person-periods: a customer's features, and how the silence grows bin by bin after a cut.

Customer features go in, one row a customer and bin of days comes out; next purchase learns and
predicts the hazard of each bin from it.
"""

import numpy as np
import polars as pl

from features.typing import Floats, Ints
from training.estimators.bg_nbd import BgNbd, purchase_history

# Features that tell one customer from another rather than how they buy: the same customers
# stand in every cut, and trees would learn them by heart.
UNUSED = (
    "routine",
    "before_routine",
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
    "silence",
    "recency_of_visit",
    "gaps_as_long",
    "tenure_at",
    "spend_a_day",
    "lines_a_day",
    "visits_a_day",
    "visits_365",
    "visits_decayed_224",
)
# The weekday of the first day, Monday is 0.
WEEKDAY = "first_weekday"


def bin_edges(horizon_days: int) -> Ints:
    """Return the bins' first days and the horizon: days, from 14 on pairs, from 28 on fours."""
    edges = [*range(14), *range(14, 28, 2), *range(28, max(horizon_days, 28), 4)]
    return np.array([day for day in edges if day < horizon_days] + [horizon_days])


def inputs_of(features: pl.DataFrame, day: int) -> pl.DataFrame:
    """Add to customer features what else is read: the weekday of `day`, their cut."""
    return features.with_columns(pl.lit(float((day + 3) % 7)).alias(WEEKDAY))


def expand(
    features: pl.DataFrame, process: BgNbd, edges: Ints, rows: Ints, bins: Ints
) -> pl.DataFrame:
    """Return a row for each pair of customer and bin.

    Parameters
    ----------
    features
        What `inputs_of` returns.
    process
        Whose hazard stands among the columns.
    edges
        First days of the bins, and the horizon.
    rows, bins
        The pairs: row of `features` and number of the bin.

    Returns
    -------
    polars.DataFrame
        The features that are used, and of the bin: elapsed days at its start; the silence at its
        middle, as it is and over the customer's own gaps; the hazard by the customer's own gaps
        and by BG/NBD; its weekday, and how often the customer comes on its weekdays.
    """
    used = [
        name
        for name in features.columns
        if name not in ("customer_id", WEEKDAY) and not name.startswith(UNUSED)
    ]
    start, end = edges[bins].astype(np.float64), edges[bins + 1].astype(np.float64)
    read = ["recency", "gap_mean", "gap_median", "gap_q90", WEEKDAY]
    read += [name for name in features.columns if name.startswith("silent_")]
    of = {name: features.get_column(name).to_numpy()[rows] for name in read}
    silence = of["recency"] + (start + end) / 2
    weekday = (of[WEEKDAY] + start) % 7
    columns = {
        "elapsed": start,
        "silence_now": silence,
        "silence_over_gap_mean": silence / of["gap_mean"],
        "silence_over_gap_median": silence / of["gap_median"],
        "silence_over_gap_q90": silence / of["gap_q90"],
        "own_hazard": _own_hazard(of, start),
        "process_hazard": _process_hazard(features, process, rows, start, end),
        "weekday_now": np.where(end - start == 1, weekday, np.nan),
        "weekday_habit": _habit(
            features, rows, weekday.astype(np.int64), (end - start).astype(int)
        ),
    }
    return features.select(used)[rows].with_columns(
        pl.Series(name, values) for name, values in columns.items()
    )


def _own_hazard(of: dict[str, Floats], start: Floats) -> Floats:
    """Daily hazard by the customer's own gaps that were longer than the present silence."""
    points = sorted(int(name.split("_")[1]) for name in of if name.startswith("silent_"))
    survival = [np.ones(len(start)), *(of[f"silent_{days}_more"] for days in points)]
    found = np.zeros(len(start))
    for k, (left, right) in enumerate(zip([0, *points], points, strict=False)):
        here = start >= left
        found[here] = np.log(survival[k][here] / survival[k + 1][here]) / (right - left)
    return found


def _process_hazard(
    features: pl.DataFrame, process: BgNbd, rows: Ints, start: Floats, end: Floats
) -> Floats:
    """Log-odds under BG/NBD of a purchase in the bin, if there was none before it."""
    frequency, recency, age = (values[rows] for values in purchase_history(features))
    silent = process.inactivity(frequency, recency, age, np.stack([start, end]))
    hazard = np.clip(1 - silent[1] / np.maximum(silent[0], 1e-12), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(hazard / (1 - hazard)))


def _habit(features: pl.DataFrame, rows: Ints, weekday: Ints, width: Ints) -> Floats:
    """Mean share of visits on the bin's weekdays, 1 where all weekdays are alike."""
    shares = np.stack([features.get_column(f"weekday_share_{k}").to_numpy() for k in range(7)], 1)
    total = np.zeros(len(rows))
    for day in range(int(width.max(initial=0))):
        total += np.where(day < width, shares[rows, (weekday + day) % 7], 0.0)
    return np.asarray(7 * total / width)
