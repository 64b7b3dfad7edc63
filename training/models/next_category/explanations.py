"""Explanations of next-category predictions: contributions of features in, sentences out.

Features are grouped; the groups with the largest contributions become sentences.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Floats

# A sentence, and its contribution in log-odds.
Explanation = tuple[str, float]


def group_of(feature: str) -> str:
    """Return the group of a feature, a key of `SENTENCES`."""
    if feature.startswith("customer_"):
        return "customer"
    if feature.startswith(("lines", "category_", "gap_over")):
        return "category"
    is_count = feature.startswith(("share", "purchases", "tenure", "decayed"))
    return "purchases" if is_count else "cadence"


SENTENCES: dict[str, Any] = {
    "cadence": lambda row: (
        f"{row['category']} usually every {row['gap_mean']:.0f} days, "
        f"last {row['recency']:.0f} days ago"
    ),
    "purchases": lambda row: (
        f"bought on {row['purchases']:.0f} days, {min(row['share_of_visits'], 1):.0%} of visits"
    ),
    "customer": lambda row: (
        f"last visit {row['customer_recency']:.0f} days ago, "
        f"{row['customer_visits_28']:.0f} visits in 28 days"
    ),
    "category": lambda row: f"others buy it every {row['category_gap']:.0f} days",
}
GROUPS = tuple(SENTENCES)


def group_sums(contributions: Floats, features: Sequence[str]) -> Floats:
    """Add up the contributions of each group.

    Parameters
    ----------
    contributions
        Shape (rows, features).
    features
        The names of the features.

    Returns
    -------
    numpy.ndarray
        Shape (rows, groups), in the order of `GROUPS`.
    """
    groups: NDArray[np.intp] = np.array([GROUPS.index(group_of(name)) for name in features])
    sums = [contributions[:, groups == k].sum(axis=1) for k in range(len(GROUPS))]
    return np.stack(sums, axis=1)


def top_explanations(sums: Floats, features: pl.DataFrame, count: int) -> list[list[Explanation]]:
    """Return each row's `count` strongest groups as sentences, strongest first."""
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :count]
    return [
        [(SENTENCES[GROUPS[k]](row), float(sums[number, k])) for k in order[number]]
        for number, row in enumerate(features.iter_rows(named=True))
    ]
