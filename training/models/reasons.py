"""Words for what moved a customer's prediction: features are grouped, each group is a sentence.

Contributions of single features and the feature frame go in, the strongest groups come out in
words that a shop manager reads. Churn and next purchase use it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Row = dict[str, Any]

# The first group with a fitting prefix takes a feature.
PREFIXES = {
    "rhythm": (
        "recency",
        "gap",
        "silent",
        "silence",
        "alive",
        "own_hazard",
        "process",
        "routine_gap",
    ),
    "trend": ("visits_trend",),
    "frequency": ("visits", "visit_rate", "expected_orders", "routine_visits"),
    "spend": ("spend", "expected_spend", "routine_spend"),
    "basket": ("lines", "products", "categories", "routine_lines"),
    "tenure": ("tenure", "routine_tenure"),
    "places": ("locations", "channel"),
    "discount": ("discount", "routine_discount"),
    "returns": ("return",),
    "weekday": ("weekday", "routine_weekday"),
    "offers": ("touches",),
}


@cache
def group_of(feature: str) -> str:
    """Return the group of a feature; `other` where none fits."""
    fitting = (
        group
        for group, prefixes in PREFIXES.items()
        if any(feature.startswith(prefix) for prefix in prefixes)
    )
    return next(fitting, "other")


def by_group(contributions: pl.DataFrame) -> tuple[list[str], NDArray[np.float64]]:
    """Add up the contributions of each group's features; what has no group is dropped.

    Returns
    -------
    tuple
        The groups, and their contributions, shape (rows, groups).
    """
    columns: dict[str, list[int]] = {}
    for number, feature in enumerate(contributions.columns):
        columns.setdefault(group_of(feature), []).append(number)
    columns.pop("other", None)
    values = contributions.to_numpy(order="c")
    return list(columns), np.stack([values[:, of].sum(axis=1) for of in columns.values()], axis=1)


def strongest(
    contributions: pl.DataFrame, features: pl.DataFrame, count: int
) -> list[list[tuple[str, float]]]:
    """Return each row's `count` strongest reasons with their contributions, strongest first."""
    names, values = by_group(contributions)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
    return [
        [(SENTENCES[names[j]](row), float(values[i, j])) for j in order[i]]
        for i, row in enumerate(features.iter_rows(named=True))
    ]


def reason_columns(reasons: list[list[tuple[str, float]]]) -> list[pl.Series]:
    """Lay out `strongest` as the columns `reasons` and `contributions`, lists of equal length.

    Contributions are rounded: their last bits depend on how many rows are added up at once.
    """
    said = [[sentence for sentence, _ in row] for row in reasons]
    moved = [[round(value, 4) for _, value in row] for row in reasons]
    return [
        pl.Series("reasons", said, dtype=pl.List(pl.String)),
        pl.Series("contributions", moved, dtype=pl.List(pl.Float64)),
    ]


def explained(contributions: pl.DataFrame, features: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return `strongest` as a frame: one row a customer and reason."""
    found = strongest(contributions, features, count)
    rows = [
        (customer, reason, contribution)
        for customer, reasons in zip(features.get_column("customer_id"), found, strict=True)
        for reason, contribution in reasons
    ]
    schema = {"customer_id": pl.String, "reason": pl.String, "contribution": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def count_of(number: float, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 day, 2 days."""
    return f"{number:.0f} {one if round(number) == 1 else many or one + 's'}"


def _rhythm(row: Row) -> str:
    silent = count_of(row["recency"], "day")
    if row["gap_median"] is None:
        return f"one visit so far, {silent} ago"
    return f"usually every {count_of(max(row['gap_median'], 1), 'day')}, now {silent}"


def _trend(row: Row) -> str:
    usual = row["visits_84"] / 3
    return f"{count_of(row['visits_28'], 'visit')} in the last 28 days, usually {usual:.1f}"


def _spend(row: Row) -> str:
    change = row["spend_trend"]
    if change is not None and row["visits_84"] > 0 and abs(change - 1) >= 0.1:
        way = "more" if change > 1 else "less"
        return f"spends {abs(change - 1):.0%} {way} a visit than before"
    return f"spends {row['spend_per_visit']:.1f} times what a typical visit brings"


def _places(row: Row) -> str:
    if "locations" in row:
        return f"buys at {count_of(row['locations'], 'location')}"
    return f"buys through {count_of(row['channels'], 'channel')}"


def _offers(row: Row) -> str:
    sent, redeemed = row["touches_sent_84"], row["touches_redeemed_84"]
    return f"{count_of(sent, 'offer')} sent and {redeemed:.0f} redeemed in the last 84 days"


def _basket(row: Row) -> str:
    return f"{count_of(row['lines_per_visit'], 'line')} a visit"


def _weekday(row: Row) -> str:
    names = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
    shares = [row[f"weekday_share_{k}"] for k in range(7)]
    best = int(np.argmax(shares))
    return f"{shares[best]:.0%} of visits on {names[best]}"


SENTENCES: dict[str, Callable[[Row], str]] = {
    "rhythm": _rhythm,
    "trend": _trend,
    "frequency": lambda row: f"{count_of(row['visits_84'], 'visit')} in the last 84 days",
    "spend": _spend,
    "basket": _basket,
    "tenure": lambda row: f"customer for {count_of(row['tenure'], 'day')}",
    "places": _places,
    "discount": lambda row: f"{row['discount_share'] or 0:.0%} of the shelf value is discount",
    "returns": lambda row: f"{row['return_share']:.0%} of lines are returns",
    "weekday": _weekday,
    "offers": _offers,
}
