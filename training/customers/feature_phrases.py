"""Sentences that explain customer features, and the groups that features are explained by.

In: the name of a feature and a customer's features. Out: the feature's group and a sentence.
Features that only depend on the days ahead (elapsed days, weekday) are equal for all customers and
have no sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from features.customers.attributes import PREFIX as ATTRIBUTE

Row = dict[str, Any]
# A sentence from a customer's features and the name of one; None where values are missing.
Text = Callable[[Row, str], str | None]

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
# Share of visits from which a weekday is usual: twice the share by chance.
USUAL_WEEKDAY = 2 / 7
# Relative change from which recent behaviour is described as changed.
CHANGED = 0.1
# Columns that are equal for all customers or describe the days ahead.
UNEXPLAINED = ("customer_id", "days_ahead", "typical_spend", "base")


@dataclass(frozen=True)
class Phrase:
    """The sentence of features with common prefixes.

    Attributes
    ----------
    group
        Group of features whose contributions are summed.
    prefixes
        Prefixes of the features' names.
    text
        Returns the sentence; None leaves it to `GROUP_TEXTS`.
    """

    group: str
    prefixes: tuple[str, ...]
    text: Text


@cache
def phrase_of_feature(feature: str) -> Phrase | None:
    """Return the first phrase that matches a feature's name, None without one."""
    if feature in UNEXPLAINED:
        return None
    return next((phrase for phrase in PHRASES if feature.startswith(phrase.prefixes)), None)


def feature_text(row: Row, feature: str) -> str:
    """Return the sentence of a feature of a customer.

    Raises
    ------
    KeyError
        If the feature has no phrase.
    """
    phrase = phrase_of_feature(feature)
    if phrase is None:
        raise KeyError(feature)
    return phrase.text(row, feature) or GROUP_TEXTS[phrase.group](row)


def count_of(number: float, singular: str, plural: str = "") -> str:
    """Return a number with its noun: 1 day, 2 days."""
    return f"{number:.0f} {singular if round(number) == 1 else plural or singular + 's'}"


def _cadence(row: Row) -> str:
    inactive = count_of(row["recency"], "day")
    if row["gap_median"] is None:
        return f"one visit so far, {inactive} ago"
    return f"usually every {_days(row['gap_median'])}, now {inactive}"


def _days(number: float) -> str:
    return count_of(max(number, 1), "day")


def _regularity(row: Row, _: str) -> str | None:
    mean, spread = row["gap_mean"], row["gap_sd"]
    if mean is None or spread is None:
        return None
    return f"comes every {_days(mean)}, give or take {count_of(spread, 'day')}"


def _long_gap(row: Row, _: str) -> str | None:
    long = row["gap_q90"]
    if long is None:
        return None
    return f"nine breaks in ten end by day {max(long, 1):.0f}, now day {row['recency']:.0f}"


def _longest_gap(row: Row, _: str) -> str | None:
    longest = row["gap_max"]
    if longest is None:
        return None
    return f"longest break so far {_days(longest)}, now {count_of(row['recency'], 'day')}"


def _trend(row: Row) -> str:
    usual = row["visits_84"] / 3
    return f"{count_of(row['visits_28'], 'visit')} in the last 28 days, usually {usual:.1f}"


def _frequency(row: Row) -> str:
    return f"{count_of(row['visits_84'], 'visit')} in the last 84 days"


def _visits(row: Row, _: str) -> str:
    return f"{count_of(row['visits'], 'visit')} so far"


def _spend(row: Row) -> str:
    change = row["spend_trend"]
    if change is not None and row["visits_84"] > 0 and abs(change - 1) >= CHANGED:
        way = "more" if change > 1 else "less"
        return f"spends {abs(change - 1):.0%} {way} a visit than before"
    return f"spends {row['spend_per_visit']:.1f} times what a typical visit brings"


def _basket(row: Row) -> str:
    return f"{count_of(row['lines_per_visit'], 'line')} a visit"


def _assortment(row: Row, feature: str) -> str | None:
    count = row.get(feature)
    nouns = {"products": ("product", ""), "categories": ("category", "categories")}
    return None if count is None else f"bought {count_of(count, *nouns[feature])} so far"


def _locations(row: Row) -> str:
    if "locations" in row:
        return f"buys at {count_of(row['locations'], 'location')}"
    return f"buys through {count_of(row['channels'], 'channel')}"


def _channels(row: Row, _: str) -> str | None:
    share = row.get("channel_main_share")
    return None if share is None else f"{share:.0%} of days through one channel"


def _discount(row: Row) -> str:
    return f"discounts are {row['discount_share'] or 0:.0%} of list prices"


def _touchpoints(row: Row) -> str:
    sent, redeemed = row["touches_sent_84"], row["touches_redeemed_84"]
    return f"{count_of(sent, 'offer')} sent and {redeemed:.0f} redeemed in the last 84 days"


def _weekday(row: Row) -> str:
    shares = [row[f"weekday_share_{k}"] for k in range(7)]
    best = int(np.argmax(shares))
    return f"{shares[best]:.0%} of visits on {WEEKDAYS[best]}"


def _on_weekday(row: Row, feature: str) -> str | None:
    share, day = row.get(feature), WEEKDAYS[int(feature.rpartition("_")[2])]
    if share is None:
        return None
    if share >= USUAL_WEEKDAY:
        return f"usually shops on {day}"
    return f"never shops on {day}" if share == 0 else f"seldom shops on {day}"


def _attribute(row: Row, feature: str) -> str:
    name, value = feature.removeprefix(ATTRIBUTE).replace("_", " "), row.get(feature)
    if value is None:
        return f"{name} not known"
    return f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"


GROUP_TEXTS: dict[str, Callable[[Row], str]] = {
    "cadence": _cadence,
    "trend": _trend,
    "frequency": _frequency,
    "spend": _spend,
    "basket": _basket,
    "tenure": lambda row: f"customer for {count_of(row['tenure'], 'day')}",
    "locations": _locations,
    "discount": _discount,
    "returns": lambda row: f"{row['return_share']:.0%} of lines are returns",
    "weekday": _weekday,
    "offers": _touchpoints,
    "attributes": lambda _: "what is known of the customer",
}


def _group_text(_: Row, __: str) -> None:
    """Leave the sentence to the group's own text."""


PHRASES = (
    Phrase("cadence", ("gap_max", "inactivity_longest"), _longest_gap),
    Phrase("cadence", ("gap_sd",), _regularity),
    Phrase("cadence", ("gap_q90",), _long_gap),
    Phrase(
        "cadence",
        ("recency", "gap", "inactive", "inactivity", "alive", "own_hazard", "process"),
        _group_text,
    ),
    Phrase("trend", ("visits_trend", "visits_share"), _group_text),
    Phrase("frequency", ("visits_365", "visits_decayed_224"), _visits),
    Phrase("frequency", ("visits", "visit_rate", "expected_orders"), _group_text),
    Phrase("spend", ("spend", "expected_spend"), _group_text),
    Phrase("basket", ("products", "categories"), _assortment),
    Phrase("basket", ("lines",), _group_text),
    Phrase("tenure", ("tenure",), _group_text),
    Phrase("locations", ("channel_",), _channels),
    Phrase("locations", ("locations", "channels"), _group_text),
    Phrase("discount", ("discount",), _group_text),
    Phrase("returns", ("return",), _group_text),
    Phrase("weekday", tuple(f"weekday_share_{k}" for k in range(7)), _on_weekday),
    Phrase("weekday", ("weekday",), _group_text),
    Phrase("offers", ("touches",), _group_text),
    Phrase("attributes", (ATTRIBUTE,), _attribute),
)
