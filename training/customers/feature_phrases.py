"""Sentences that explain customer features, and the groups that features are explained by.

In: a group of features, a customer's features and the medians of all customers. Out: a sentence
that favours a purchase or speaks against one, as asked; None where the customer is as usual in this
respect or values are missing. Weekdays and features of the days ahead have no direction and are not
explained.
"""

from features.customers.attributes import PREFIX as ATTRIBUTE
from training.customers.explanations import CHANGED, Facts, Text, Wording
from training.customers.prediction import FEW_VISITS

# Columns that describe the days ahead, are equal for all customers, or have no direction.
UNEXPLAINED = ("customer_id", "days_ahead", "weekday", "typical_spend")
# Groups by the beginnings of their features' names; the first match counts.
GROUPS: dict[str, tuple[str, ...]] = {
    "cadence": ("recency", "gap", "inactive", "inactivity", "process"),
    "trend": ("visits_trend", "visits_share"),
    "frequency": ("visits", "visit_rate"),
    "spend": ("spend",),
    "basket": ("lines",),
    "assortment": ("products", "categories"),
    "tenure": ("tenure",),
    "locations": ("locations",),
    "channels": ("channel",),
    "discount": ("discount",),
    "returns": ("return",),
    "offers": ("touches",),
}


def group_of(feature: str) -> str | None:
    """Return the group that a feature is explained by; an attribute is a group of its own."""
    if feature.startswith(UNEXPLAINED):
        return None
    if feature.startswith(ATTRIBUTE):
        return feature
    return next((name for name, starts in GROUPS.items() if feature.startswith(starts)), None)


def text_of(group: str) -> Text:
    """Return the text of a group."""
    if group.startswith(ATTRIBUTE):
        return lambda facts: _attribute(facts, group)
    return TEXTS[group]


def count_of(number: float, singular: str, plural: str = "") -> str:
    """Return a number with its noun: 1 day, 2 days."""
    return f"{number:.0f} {singular if round(number) == 1 else plural or singular + 's'}"


def _cadence(facts: Facts) -> str | None:
    gap, inactive = facts.row["gap_median"], facts.row["recency"]
    if gap is not None and facts.row["visits"] >= FEW_VISITS:
        early, late = inactive < round(gap), inactive > (1 + CHANGED) * max(round(gap), 1)
        if early if facts.favourable else late:
            return f"usually every {_days(gap)}, now {count_of(inactive, 'day')}"
    return facts.compared(
        "recency", lambda days: f"last visit {count_of(days, 'day')} ago", rises=False
    ) or facts.compared("gap_median", lambda days: f"usually every {_days(days)}", rises=False)


def _days(number: float) -> str:
    return count_of(max(number, 1), "day")


def _trend(facts: Facts) -> str | None:
    recent, usual = facts.row["visits_28"], facts.row["visits_84"] / 3
    # Without a recent visit, the cadence tells the same.
    if recent == 0 or abs(recent - usual) < max(1, CHANGED * usual):
        return None
    text = f"{count_of(recent, 'visit')} in the last 28 days, usually {usual:.1f}"
    return text if (recent > usual) == facts.favourable else None


def _frequency(facts: Facts) -> str | None:
    recent = None
    if facts.row["visits_84"] > 0:
        recent = facts.compared(
            "visits_84",
            lambda visits: f"{count_of(visits, 'visit')} in the last 84 days",
        )
    return recent or facts.compared("visits", lambda visits: f"{count_of(visits, 'visit')} so far")


def _spend(facts: Facts) -> str | None:
    row, typical = facts.row, facts.medians.get("spend_a_day")
    if typical:
        relative = row["spend_a_day"] / typical
        if _changed(relative, facts):
            return f"spends {relative:.1f} times the median a day"
    if _changed(row["spend_per_visit"], facts):
        return f"spends {row['spend_per_visit']:.1f} times what a typical visit brings"
    change = row["spend_trend"]
    if change is not None and row["visits_84"] > 0 and _changed(change, facts):
        way = "more" if change > 1 else "less"
        return f"spends {abs(change - 1):.0%} {way} a visit than before"
    return None


def _changed(relative: float, facts: Facts) -> bool:
    """Return whether a ratio is above or below 1 as asked, in the decimal that is shown too."""
    deviation = relative - 1 if facts.favourable else 1 - relative
    return deviation > CHANGED and f"{relative:.1f}" != "1.0"


def _basket(facts: Facts) -> str | None:
    return facts.compared("lines_per_visit", lambda lines: f"{count_of(lines, 'line')} a visit")


def _assortment(facts: Facts) -> str | None:
    return facts.compared(
        "products", lambda count: f"bought {count_of(count, 'product')} so far"
    ) or facts.compared(
        "categories",
        lambda count: f"bought from {count_of(count, 'category', 'categories')} so far",
    )


def _tenure(facts: Facts) -> str | None:
    return facts.compared("tenure", lambda days: f"customer for {count_of(days, 'day')}")


def _locations(facts: Facts) -> str | None:
    return facts.compared(
        "locations", lambda count: f"buys at {count_of(count, 'location')}", rises=None
    )


def _channels(facts: Facts) -> str | None:
    return facts.compared(
        "channel_main_share",
        lambda share: f"{share:.0%} of days through one channel",
        "{:.0%}".format,
        rises=None,
    ) or facts.compared(
        "channels", lambda count: f"buys through {count_of(count, 'channel')}", rises=None
    )


def _discount(facts: Facts) -> str | None:
    return facts.compared(
        "discount_share",
        lambda share: f"discounts are {share:.0%} of list prices",
        "{:.0%}".format,
        rises=None,
    )


def _returns(facts: Facts) -> str | None:
    return facts.compared(
        "return_share",
        lambda share: f"{share:.0%} of lines are returns",
        "{:.0%}".format,
        rises=False,
    )


def _offers(facts: Facts) -> str | None:
    return facts.compared(
        "touches_redeemed_84",
        lambda count: f"{count_of(count, 'offer')} redeemed in the last 84 days",
    ) or facts.compared(
        "touches_sent_84",
        lambda count: f"{count_of(count, 'offer')} sent in the last 84 days",
        rises=None,
    )


def _attribute(facts: Facts, feature: str) -> str | None:
    name, value = feature.removeprefix(ATTRIBUTE).replace("_", " "), facts.row.get(feature)
    if value is None:
        return None
    return f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"


TEXTS: dict[str, Text] = {
    "cadence": _cadence,
    "trend": _trend,
    "frequency": _frequency,
    "spend": _spend,
    "basket": _basket,
    "assortment": _assortment,
    "tenure": _tenure,
    "locations": _locations,
    "channels": _channels,
    "discount": _discount,
    "returns": _returns,
    "offers": _offers,
}

CHURN_WORDING = Wording("raises churn", "lowers churn", group_of, text_of, favours_purchase=False)
PURCHASE_WORDING = Wording("sooner", "later", group_of, text_of)
VALUE_WORDING = Wording("raises value", "lowers value", group_of, text_of)
