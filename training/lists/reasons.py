"""Why a product is on a list, in words: all sentences stand here.

Facts of a customer and a product in, sentences out. What proposed the product says which
facts are told first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

# What is told of what each source proposed.
BY_SOURCE: dict[str, tuple[str, ...]] = {
    "repeat": ("rhythm", "habit"),
    "similar": ("similar", "taste", "neighbours"),
    "neighbours": ("similar", "neighbours"),
    "same_kind": ("taste", "similar"),
    "seasonal": ("season",),
    "popular": ("popular",),
    "popular_here": ("popular_here",),
    "popular_alike": ("alike",),
    "new": ("new", "similar"),
    "basket": ("basket",),
    "pinned": ("pinned",),
}
MOST_SENTENCES = 2
# From so many baskets on a customer buys a product, rather than has bought it.
REGULAR = 3

# What is said where nothing more is known.
PLAINLY = {True: "you buy this", False: "customers who buy what you buy choose this"}

PROMOTED = {
    "display": "on display {here}this week",
    "mailer": "in this week's leaflet",
    "discount": "reduced {here}this week",
}


@dataclass(frozen=True)
class Facts:
    """What is known of one product on one customer's list.

    Attributes
    ----------
    source
        What proposed it.
    times, age_days, gap_days
        How often the customer bought it, how long ago, and every how many days.
    promoted
        Kinds of promotion that it has.
    goes_with, like
        Name of a product that the customer buys and that it is bought with, or can stand for.
    basket
        Name of the product in today's basket that it goes with.
    kind
        Name of its kind, where the customer buys of it.
    here
        Whether the answer is about a location.
    """

    source: str
    times: int = 0
    age_days: int | None = None
    gap_days: float = 0.0
    promoted: tuple[str, ...] = ()
    goes_with: str | None = None
    like: str | None = None
    basket: str | None = None
    kind: str | None = None
    here: bool = False


def sentences(facts: Facts) -> list[str]:
    """Tell one or two reasons: what speaks for the product, then what is news about it."""
    return list(_told(facts))


@lru_cache(maxsize=4096)
def _told(facts: Facts) -> tuple[str, ...]:
    first = ("basket",) if facts.basket else ()
    order = (*first, *BY_SOURCE.get(facts.source, ("neighbours",)), "offer")
    said = (TOLD[group](facts) for group in dict.fromkeys(order))
    found = list(dict.fromkeys(sentence for sentence in said if sentence))
    if not found:
        found = [PLAINLY[facts.times > 0 or facts.source == "repeat"]]
    offer = TOLD["offer"](facts)
    if offer in found[MOST_SENTENCES:]:
        # That something is on offer is news; that it is bought often is not.
        found = [*found[: MOST_SENTENCES - 1], offer]
    return tuple(found[:MOST_SENTENCES])


def days(count: float) -> str:
    """Name a number of days, in weeks where it is long."""
    whole = max(1, round(count))
    if whole >= 28:
        return f"{round(whole / 7)} weeks"
    return f"{whole} days" if whole > 1 else "day"


def _rhythm(facts: Facts) -> str | None:
    if facts.times >= REGULAR and facts.gap_days > 0:
        return f"you buy this every {days(facts.gap_days)}"
    return _habit(facts)


def _habit(facts: Facts) -> str | None:
    if not facts.times or facts.age_days is None:
        return None
    if facts.times >= REGULAR and facts.gap_days == 0:
        return f"you bought this {facts.times} times"
    if facts.age_days <= 1:
        return "you bought this yesterday"
    return f"you bought this {days(facts.age_days)} ago"


def _offer(facts: Facts) -> str | None:
    if not facts.promoted:
        return None
    said = PROMOTED.get(facts.promoted[0], "on offer {here}this week")
    return said.format(here="here " if facts.here else "")


def _similar(facts: Facts) -> str | None:
    if facts.goes_with:
        return f"goes with {facts.goes_with}, which you buy"
    if facts.like:
        return f"like {facts.like}, which you buy"
    return None


def _taste(facts: Facts) -> str | None:
    return f"you often buy {facts.kind}" if facts.kind and not facts.times else None


def _neighbours(facts: Facts) -> str | None:
    return None if facts.times else "customers who buy what you buy choose this"


def _popular(facts: Facts) -> str | None:
    if facts.times:
        return None
    return "popular here now" if facts.here else "popular now"


TOLD: dict[str, Callable[[Facts], str | None]] = {
    "habit": _habit,
    "rhythm": _rhythm,
    "offer": _offer,
    "similar": _similar,
    "taste": _taste,
    "neighbours": _neighbours,
    "popular": _popular,
    "season": lambda facts: None if facts.times else "of the season",
    "popular_here": lambda facts: None if facts.times else "popular where you shop",
    "alike": lambda facts: None if facts.times else "popular with customers like you",
    "new": lambda facts: None if facts.times else "new in the range",
    "basket": lambda facts: f"goes with {facts.basket} in the basket" if facts.basket else None,
    "pinned": lambda _: "chosen for this place",
}
