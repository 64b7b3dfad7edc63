"""Why a customer buys from a category soon or late, in words: groups of features as sentences."""

from typing import Any


def group_of(feature: str) -> str:
    """Name the group of features, of `SENTENCES`, that one belongs to."""
    if feature.startswith("customer_"):
        return "customer"
    if feature.startswith(("lines", "category_", "gap_over")):
        return "category"
    return "habit" if feature.startswith(("share", "purchases", "tenure", "decayed")) else "rhythm"


SENTENCES: dict[str, Any] = {
    "rhythm": lambda row: (
        f"{row['category']} usually every {row['gap_mean']:.0f} days, "
        f"last {row['recency']:.0f} days ago"
    ),
    "habit": lambda row: (
        f"bought on {row['purchases']:.0f} days, {min(row['share_of_visits'], 1):.0%} of visits"
    ),
    "customer": lambda row: (
        f"last visit {row['customer_recency']:.0f} days ago, "
        f"{row['customer_visits_28']:.0f} visits in 28 days"
    ),
    "category": lambda row: f"others buy it every {row['category_gap']:.0f} days",
}
