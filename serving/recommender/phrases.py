"""Sentences that explain why a product is on a list.

Facts about a customer and a product in; sentences out. The reason groups that contribute most to
the score, or else the candidate generator, decide which facts are stated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

# By reason group, the phrases that explain it; the first that applies is used.
PHRASES_OF_GROUP: dict[str, tuple[str, ...]] = {
    "repeat": ("cadence",),
    "cadence": ("due", "cadence"),
    "category": ("category",),
    "neighbours": ("similar", "neighbours"),
    "popular": ("popular",),
    "new": ("new",),
    "promotion": ("promotion",),
}
# By reason of the candidate generator, the phrases used if no group has one.
PHRASES_OF_REASON: dict[str, tuple[str, ...]] = {
    "repeat": ("cadence",),
    "similar": ("similar", "category", "neighbours"),
    "same_kind": ("category", "similar"),
    "popular": ("popular",),
    "new": ("new", "similar"),
    "basket": ("basket",),
    "pinned": ("pinned",),
}
MAX_SENTENCES = 2
# Baskets from which on purchases of a product count as regular.
REGULAR_BASKETS = 3
# A habit is stated for so many usual gaps after the last purchase.
CURRENT_GAPS = 2.0

NEIGHBOURS = "customers who buy what you buy choose this"
# Used if no other phrase applies, by whether the customer bought the product before.
DEFAULT = {True: "you bought this before", False: NEIGHBOURS}

PROMOTIONS = {
    "display": "on display {here}this week",
    "mailer": "in this week's leaflet",
    "discount": "reduced {here}this week",
}
OTHER_PROMOTION = "on offer {here}this week"


@dataclass(frozen=True)
class Facts:
    """What is known about one product on one customer's list.

    Attributes
    ----------
    reason
        Reason of the candidate generator.
    groups
        Reason groups that raise the score, in descending order; empty if unknown.
    times, age_days, gap_days
        Baskets of the customer with the product, days since the last, mean days between them.
    due
        Whether a repurchase is due.
    popular, new
        Whether it is among the products that sell best now; whether it was first sold recently.
    promotions
        Kinds of its promotions.
    partner, neighbour
        Name of an associated or a similar product that the customer bought.
    is_regular
        Whether the customer buys that product regularly.
    basket
        Name of an associated product in the basket.
    category
        Name of its category, if the customer buys from it.
    at_location, promoted_at_location
        Whether `popular` refers to a location, and whether the first promotion does.
    """

    reason: str
    groups: tuple[str, ...] = ()
    times: int = 0
    age_days: int | None = None
    gap_days: float = 0.0
    due: bool = False
    popular: bool = False
    new: bool = False
    promotions: tuple[str, ...] = ()
    partner: str | None = None
    neighbour: str | None = None
    basket: str | None = None
    category: str | None = None
    is_regular: bool = False
    at_location: bool = False
    promoted_at_location: bool = False


def sentences(facts: Facts) -> list[str]:
    """Return one or two sentences, the most important first."""
    return list(_sentences(facts))


@lru_cache(maxsize=4096)
def _sentences(facts: Facts) -> tuple[str, ...]:
    chosen: list[str] = []
    for phrases in _phrases(facts):
        sentence = _first_that_applies(facts, phrases)
        if sentence and sentence not in chosen:
            chosen.append(sentence)
        if len(chosen) == MAX_SENTENCES:
            break
    if not chosen:
        phrases = PHRASES_OF_REASON.get(facts.reason, ("neighbours",))
        default = DEFAULT[facts.times > 0 or facts.reason == "repeat"]
        chosen = [_first_that_applies(facts, phrases) or default]
    promotion = _promotion(facts) if "promotion" in facts.groups else None
    if promotion and promotion not in chosen:
        # A promotion is news to the customer, and replaces the less important sentence.
        chosen[-1] = promotion
    return tuple(chosen)


def _phrases(facts: Facts) -> list[tuple[str, ...]]:
    """Return alternatives of phrases in order: the basket, then groups by contribution."""
    phrases: list[tuple[str, ...]] = [("basket",)] if facts.basket else []
    return phrases + [PHRASES_OF_GROUP[group] for group in facts.groups]


def _first_that_applies(facts: Facts, phrases: tuple[str, ...]) -> str | None:
    sentences = (PHRASES[phrase](facts) for phrase in phrases)
    return next((sentence for sentence in sentences if sentence), None)


def describe_days(count: float) -> str:
    """Return a number of days in words, in weeks from 28 days on."""
    days = max(1, round(count))
    if days >= 28:
        return f"{round(days / 7)} weeks"
    return f"{days} days" if days > 1 else "day"


def _cadence(facts: Facts) -> str | None:
    is_current = facts.age_days is None or facts.age_days <= CURRENT_GAPS * facts.gap_days
    if facts.times >= REGULAR_BASKETS and facts.gap_days > 0 and is_current:
        return f"you buy this every {describe_days(facts.gap_days)}"
    return _last_purchase(facts)


def _last_purchase(facts: Facts) -> str | None:
    if not facts.times or facts.age_days is None:
        return None
    if facts.times >= REGULAR_BASKETS and facts.gap_days == 0:
        return f"you bought this {facts.times} times"
    if facts.age_days <= 1:
        return "you bought this yesterday"
    return f"you bought this {describe_days(facts.age_days)} ago"


def _promotion(facts: Facts) -> str | None:
    if not facts.promotions:
        return None
    sentence = PROMOTIONS.get(facts.promotions[0], OTHER_PROMOTION)
    return sentence.format(here="here " if facts.promoted_at_location else "")


def _similar(facts: Facts) -> str | None:
    verb = "which you buy" if facts.is_regular else "which you bought"
    if facts.partner:
        return f"goes with {facts.partner}, {verb}"
    if facts.neighbour:
        return f"like {facts.neighbour}, {verb}"
    return None


def _category(facts: Facts) -> str | None:
    return f"you often buy {facts.category}" if facts.category and not facts.times else None


def _due(facts: Facts) -> str | None:
    return "about time again" if facts.due and facts.times >= REGULAR_BASKETS else None


def _popular(facts: Facts) -> str | None:
    if facts.times or not facts.popular:
        return None
    return "popular here now" if facts.at_location else "popular now"


def _basket(facts: Facts) -> str | None:
    return f"goes with {facts.basket} in the basket" if facts.basket else None


def _if_new_to_customer(sentence: str) -> Callable[[Facts], str | None]:
    return lambda facts: None if facts.times else sentence


# Each phrase returns a sentence, or None if it does not apply.
PHRASES: dict[str, Callable[[Facts], str | None]] = {
    "cadence": _cadence,
    "due": _due,
    "promotion": _promotion,
    "similar": _similar,
    "category": _category,
    "neighbours": _if_new_to_customer(NEIGHBOURS),
    "popular": _popular,
    "new": lambda facts: "new in the range" if facts.new and not facts.times else None,
    "basket": _basket,
    "pinned": lambda _: "chosen for this place",
}
