"""Why a product is on a list, in words: all sentences stand here.

Facts of a customer and a product in, sentences out. What moved the ranker, and else what
proposed the product, says which facts are told first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

# What is told of what moved the ranker: facts, the first that holds.
BY_MOTIVE: dict[str, tuple[str, ...]] = {
    "repeat": ("rhythm",),
    "cadence": ("due", "rhythm"),
    "category": ("taste",),
    "neighbours": ("similar", "neighbours"),
    "popular": ("popular",),
    "new": ("new",),
    "promotion": ("offer",),
}
# What is told of what a source proposed; its motive, if it is one of its own.
BY_SOURCE: dict[str, tuple[str, ...]] = {
    "repeat": ("rhythm",),
    "similar": ("similar", "taste", "neighbours"),
    "neighbours": ("similar", "neighbours"),
    "same_kind": ("taste", "similar"),
    "seasonal": ("seasonal",),
    "popular": ("popular",),
    "popular_here": ("popular_at_location",),
    "popular_alike": ("popular_in_segment",),
    "new": ("new", "similar"),
    "basket": ("basket",),
    "pinned": ("pinned",),
}
OF_SOURCE = {
    "seasonal": "seasonal",
    "popular_at_location": "popular_here",
    "popular_in_segment": "popular_alike",
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
    motives
        What moved the ranker towards it, the most first; none if that is not known.
    times, age_days, gap_days
        How often the customer bought it, how long ago, and every how many days.
    due
        Whether it is wanted about now, by the customer's and the product's rhythm.
    popular, new
        Whether it is among what most buy; whether it was first sold within four weeks.
    promoted
        Kinds of promotion that it has.
    goes_with, like
        Name of a product that the customer bought and that it is bought with, or can stand for.
    often
        Whether they buy that product again and again.
    basket
        Name of the product in today's basket that it goes with.
    kind
        Name of its kind, where the customer buys of it.
    here, offered_here
        Whether what is popular is so at the location asked about; whether that location has
        promotions of its own of the first kind of `promoted`.
    """

    source: str
    motives: tuple[str, ...] = ()
    times: int = 0
    age_days: int | None = None
    gap_days: float = 0.0
    due: bool = False
    popular: bool = False
    new: bool = False
    promoted: tuple[str, ...] = ()
    goes_with: str | None = None
    like: str | None = None
    basket: str | None = None
    kind: str | None = None
    often: bool = False
    here: bool = False
    offered_here: bool = False


def sentences(facts: Facts) -> list[str]:
    """Tell one or two reasons: what speaks for the product, then what is news about it."""
    return list(_told(facts))


@lru_cache(maxsize=4096)
def _told(facts: Facts) -> tuple[str, ...]:
    found: list[str] = []
    for groups in _order(facts):
        said = _first_that_holds(facts, groups)
        if said and said not in found:
            found.append(said)
        if len(found) == MOST_SENTENCES:
            break
    if not found:
        groups = BY_SOURCE.get(facts.source, ("neighbours",))
        found = [
            _first_that_holds(facts, groups) or PLAINLY[facts.times > 0 or facts.source == "repeat"]
        ]
    offer = _offer(facts) if "promotion" in facts.motives else None
    if offer and offer not in found:
        # That something is on offer is news; that it is bought often is not.
        found[-1] = offer
    return tuple(found)


def _order(facts: Facts) -> list[tuple[str, ...]]:
    """Facts that may be told, by what moved the ranker, what is in the basket before all."""
    found: list[tuple[str, ...]] = [("basket",)] if facts.basket else []
    for motive in facts.motives:
        if motive not in OF_SOURCE:
            found.append(BY_MOTIVE[motive])
        elif facts.source == OF_SOURCE[motive]:
            found.append((motive,))
    return found


def _first_that_holds(facts: Facts, groups: tuple[str, ...]) -> str | None:
    return next((said for group in groups if (said := TOLD[group](facts))), None)


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
    return said.format(here="here " if facts.offered_here else "")


def _similar(facts: Facts) -> str | None:
    which = "which you buy" if facts.often else "which you bought"
    if facts.goes_with:
        return f"goes with {facts.goes_with}, {which}"
    if facts.like:
        return f"like {facts.like}, {which}"
    return None


def _taste(facts: Facts) -> str | None:
    return f"you often buy {facts.kind}" if facts.kind and not facts.times else None


def _neighbours(facts: Facts) -> str | None:
    return None if facts.times else "customers who buy what you buy choose this"


def _due(facts: Facts) -> str | None:
    return "about time again" if facts.due and facts.times >= REGULAR else None


def _popular(facts: Facts) -> str | None:
    if facts.times or not (facts.popular or facts.source == "popular"):
        return None
    return "popular here now" if facts.here else "popular now"


TOLD: dict[str, Callable[[Facts], str | None]] = {
    "rhythm": _rhythm,
    "due": _due,
    "offer": _offer,
    "similar": _similar,
    "taste": _taste,
    "neighbours": _neighbours,
    "popular": _popular,
    "seasonal": lambda facts: None if facts.times else "of the season",
    "popular_at_location": lambda facts: None if facts.times else "popular where you shop",
    "popular_in_segment": lambda facts: None if facts.times else "popular with customers like you",
    "new": lambda facts: "new in the range" if facts.new and not facts.times else None,
    "basket": lambda facts: f"goes with {facts.basket} in the basket" if facts.basket else None,
    "pinned": lambda _: "chosen for this place",
}
