"""Sentences that explain when a customer buys from a category again.

In: the features of a customer and a category. Out: the groups of features, and a sentence of each
that favours a purchase or speaks against one, as asked.
"""

from training.customers.explanations import Facts, Text, Wording
from training.customers.feature_phrases import count_of

# Columns that describe the days ahead.
UNEXPLAINED = ("base", "elapsed", "width")


def group_of(feature: str) -> str | None:
    """Return the group that a feature is explained by, a key of `TEXTS`."""
    if feature in UNEXPLAINED:
        return None
    if feature.startswith("customer_"):
        return "customer"
    if feature.startswith(("lines", "category_", "gap_over")):
        return "category"
    is_count = feature.startswith(("share", "purchases", "tenure", "decayed"))
    return "purchases" if is_count else "cadence"


def _cadence(facts: Facts) -> str | None:
    """Compare the gaps with others first: after a recent purchase, inactivity says little."""
    gap, inactive = facts.row["gap_mean"], facts.row["recency"]
    usual = f"{facts.row['category']} usually every {count_of(gap, 'day')}"
    compared = facts.compared("gap_mean", lambda _: usual, rises=False)
    # Due from the usual gap on, unlikely from twice the gap on.
    agrees = gap <= inactive < 2 * gap if facts.favourable else inactive > 2 * gap
    return compared or (f"{usual}, now {count_of(inactive, 'day')}" if agrees else None)


def _purchases(facts: Facts) -> str | None:
    return facts.compared(
        "share_of_visits",
        lambda share: f"bought on {min(share, 1):.0%} of visits",
        lambda share: f"{min(share, 1):.0%}",
    ) or facts.compared("purchases", lambda days: f"bought on {count_of(days, 'day')} so far")


def _customer(facts: Facts) -> str | None:
    return facts.compared(
        "customer_visits_28", lambda visits: f"{count_of(visits, 'visit')} in 28 days"
    ) or facts.compared(
        "customer_recency", lambda days: f"last visit {count_of(days, 'day')} ago", rises=False
    )


def _category(facts: Facts) -> str | None:
    return facts.compared(
        "category_gap", lambda days: f"others buy it every {count_of(days, 'day')}", rises=False
    )


TEXTS: dict[str, Text] = {
    "cadence": _cadence,
    "purchases": _purchases,
    "customer": _customer,
    "category": _category,
}
WORDING = Wording("sooner", "later", group_of, TEXTS.__getitem__)
