"""Words for what moved an answer about a customer: a theme and a sentence for every feature.

The name of a customer's feature goes in, its theme and what to say of it come out; `reasons` picks
the strongest themes and tells each in the words of its strongest feature. What only tells how far
ahead is asked (elapsed days, the day's weekday) moves everybody alike and has none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.customers.usual_behaviour import BEFORE, LINES
from features.customers.usual_behaviour import PREFIX as ROUTINE

Row = dict[str, Any]
# Of a customer's features and the name of one of them; None where there is too little to tell.
Say = Callable[[Row, str], str | None]

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
# A weekday is a habit from so large a share of visits on: twice what it would be by chance.
HABIT = 2 / 7
# What has changed by less is told as it is over all.
CHANGED = 0.1
# Columns that customers have in common, and those of the bin that is asked about.
UNEXPLAINED = ("customer_id", "elapsed", "weekday_now", "first_weekday", "typical_spend", "base")


@dataclass(frozen=True)
class Phrase:
    """Features whose names begin alike, their theme, and what is said of them."""

    group: str
    prefixes: tuple[str, ...]
    say: Say


@cache
def phrase_of_feature(feature: str) -> Phrase | None:
    """Return the first words that fit a feature, if it has any."""
    if feature in UNEXPLAINED:
        return None
    feature = feature.replace(BEFORE, ROUTINE)
    return next((one for one in PHRASES if feature.startswith(one.prefixes)), None)


def feature_text(row: Row, feature: str) -> str:
    """Say what a feature says of a customer; `words_of` has to know it."""
    words, name = phrase_of_feature(feature), feature.replace(BEFORE, ROUTINE)
    if words is None:
        raise KeyError(feature)
    return words.say(row, name) or GROUP_TEXTS[words.group](row)


def count_of(number: float, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 day, 2 days."""
    return f"{number:.0f} {one if round(number) == 1 else many or one + 's'}"


def _rhythm(row: Row) -> str:
    silent = count_of(row["recency"], "day")
    if row["gap_median"] is None:
        return f"one visit so far, {silent} ago"
    return f"usually every {_days(row['gap_median'])}, now {silent}"


def _days(number: float) -> str:
    return count_of(max(number, 1), "day")


def _regularity(row: Row, _: str) -> str | None:
    mean, spread = row.get(ROUTINE + "gap_mean"), row.get(ROUTINE + "gap_sd")
    if mean is None or spread is None:
        return None
    return f"comes every {_days(mean)}, give or take {count_of(spread, 'day')}"


def _longest(row: Row, _: str) -> str | None:
    longest = row["gap_max"]
    if longest is None:
        return None
    return f"longest break so far {_days(longest)}, now {count_of(row['recency'], 'day')}"


def _long(row: Row, _: str) -> str | None:
    long = row["gap_q90"]
    if long is None:
        return None
    return f"nine breaks in ten end by day {max(long, 1):.0f}, now day {row['recency']:.0f}"


def _lately(row: Row, _: str) -> str | None:
    usual, late = row.get(ROUTINE + "gap_mean"), row.get(ROUTINE + "gap_later")
    if usual is None or late is None:
        return None
    if max(late, 1) < max(usual, 1) * (1 + CHANGED) and max(usual, 1) < max(late, 1) * (
        1 + CHANGED
    ):
        return f"came every {_days(usual)} of late as before"
    return f"came every {_days(late)} of late, every {_days(usual)} over all"


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


def _share_of_visits(what: str) -> Say:
    def text(row: Row, feature: str) -> str | None:
        share = row.get(feature)
        return None if share is None else f"{share:.0%} of visits are {what}"

    return text


def _spread_of_spend(row: Row, feature: str) -> str | None:
    spread = row.get(feature)
    if spread is None:
        return None
    return f"what a visit brings varies by {spread:.0%} of the usual"


def _spend_late(row: Row, feature: str) -> str | None:
    late = row.get(feature)
    if late is None or abs(late - 1) < CHANGED:
        return None
    return f"spent {abs(late - 1):.0%} {'more' if late > 1 else 'less'} a visit of late than usual"


def _basket(row: Row) -> str:
    return f"{count_of(row['lines_per_visit'], 'line')} a visit"


def _lines_late(row: Row, _: str) -> str | None:
    usual, late = row.get(ROUTINE + "lines"), row.get(ROUTINE + "lines_late")
    if usual is None or late is None or round(usual) == round(late):
        return None
    return f"{count_of(late, 'line')} a visit of late, {usual:.0f} over all"


def _lines_share(row: Row, feature: str) -> str | None:
    share = row.get(feature)
    if share is None:
        return None
    return f"{share:.0%} of visits have {feature.rpartition('_')[2]} lines or more"


def _variety(row: Row, feature: str) -> str | None:
    many = row.get(feature)
    nouns = {"products": ("product", ""), "categories": ("category", "categories")}
    return None if many is None else f"bought {count_of(many, *nouns[feature])} so far"


def _places(row: Row) -> str:
    if "locations" in row:
        return f"buys at {count_of(row['locations'], 'location')}"
    return f"buys through {count_of(row['channels'], 'channel')}"


def _channels(row: Row, _: str) -> str | None:
    share = row.get("channel_main_share")
    return None if share is None else f"{share:.0%} of days through one channel"


def _discount(row: Row) -> str:
    return f"{row['discount_share'] or 0:.0%} of the shelf value is discount"


def _discount_late(row: Row, feature: str) -> str | None:
    late, usual = row.get(feature), row.get(ROUTINE + "discount")
    if late is None or usual is None or round(100 * late) == round(100 * usual):
        return None
    return f"{late:.0%} of the shelf value was discount of late, {usual:.0%} over all"


def _offers(row: Row) -> str:
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
    if share >= HABIT:
        return f"usually shops on {day}"
    return f"never shops on {day}" if share == 0 else f"seldom shops on {day}"


def _attribute(row: Row, feature: str) -> str:
    name, value = feature.removeprefix(ATTRIBUTE).replace("_", " "), row.get(feature)
    if value is None:
        return f"{name} not known"
    return f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"


GROUP_TEXTS: dict[str, Callable[[Row], str]] = {
    "rhythm": _rhythm,
    "trend": _trend,
    "frequency": _frequency,
    "spend": _spend,
    "basket": _basket,
    "tenure": lambda row: f"customer for {count_of(row['tenure'], 'day')}",
    "places": _places,
    "discount": _discount,
    "returns": lambda row: f"{row['return_share']:.0%} of lines are returns",
    "weekday": _weekday,
    "offers": _offers,
    "who": lambda _: "what is known of the customer",
}


def _plain(_: Row, __: str) -> None:
    """Say what the theme says."""


def _routine(*names: str) -> tuple[str, ...]:
    return tuple(ROUTINE + name for name in names)


PHRASES = (
    Phrase("rhythm", _routine("gap_sd", "gap_cv", "gap_mean", "gap_median"), _regularity),
    Phrase(
        "rhythm",
        (*_routine("gap_trend", "gap_late", "gap_last"), "gap_last", "gap_max_84"),
        _lately,
    ),
    Phrase("rhythm", (*_routine("gap_max"), "gap_max", "silence_longest"), _longest),
    Phrase("rhythm", _routine("gap_q"), _long),
    Phrase(
        "rhythm",
        ("recency", "gap", "silent", "silence", "alive", "own_hazard", "process"),
        _plain,
    ),
    Phrase("trend", ("visits_trend", "visits_share"), _plain),
    Phrase("frequency", ("visits_365", "visits_decayed_224", *_routine("visits")), _visits),
    Phrase("frequency", ("visits", "visit_rate", "expected_orders"), _plain),
    Phrase("spend", _routine("spend_small"), _share_of_visits("small ones for this customer")),
    Phrase("spend", _routine("spend_large"), _share_of_visits("large ones for this customer")),
    Phrase("spend", _routine("spend_very"), _share_of_visits("very large ones for this customer")),
    Phrase("spend", _routine("spend_cv"), _spread_of_spend),
    Phrase("spend", _routine("spend_late"), _spend_late),
    Phrase("spend", ("spend", "expected_spend"), _plain),
    Phrase("basket", tuple(f"{ROUTINE}lines_share_{n}" for n in LINES), _lines_share),
    Phrase("basket", _routine("lines"), _lines_late),
    Phrase("basket", ("products", "categories"), _variety),
    Phrase("basket", ("lines",), _plain),
    Phrase("tenure", ("tenure", *_routine("tenure")), _plain),
    Phrase("places", ("channel_",), _channels),
    Phrase("places", ("locations", "channels"), _plain),
    Phrase("discount", _routine("discount_late"), _discount_late),
    Phrase("discount", ("discount", *_routine("discount")), _plain),
    Phrase("returns", ("return",), _plain),
    Phrase(
        "weekday",
        tuple(f"{start}_{k}" for start in ("weekday_share", ROUTINE + "weekday") for k in range(7)),
        _on_weekday,
    ),
    Phrase("weekday", ("weekday", *_routine("weekday")), _plain),
    Phrase("offers", ("touches",), _plain),
    Phrase("who", (ATTRIBUTE,), _attribute),
)
