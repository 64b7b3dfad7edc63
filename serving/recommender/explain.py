"""Gathers what is known of a product on a list, and has it told in words."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.typing import Int32s
from serving.recommender.phrases import REGULAR, Facts, sentences
from training.models.recommender.index.association import Towards
from training.models.recommender.index.candidate_store import Candidates
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.index.replenishment import DUE, Clock
from training.models.recommender.ranking.attribution import EXPLAINED_GROUPS

# Part of the week, or of the customer's locations, that has to be on promotion to be told.
MOST_OF_THE_WEEK = 0.5
THIS_WEEK = "_this_week"
# What moved the ranker less than this part of what moved it most is no reason.
LEAST_PART = 0.1
NEW_DAYS = 28


@dataclass(frozen=True)
class Shown:
    """Candidates that are on a list, and what there is to tell of them.

    Attributes
    ----------
    candidates
        All of the customer's.
    place
        By position among the candidates, that in the others.
    motives
        What moved the ranker towards each, the most first.
    clock
        How each that was bought before stands.
    """

    candidates: Candidates
    place: dict[int, int]
    motives: list[tuple[str, ...]]
    clock: Clock


@dataclass(frozen=True)
class Bought:
    """What a customer bought before.

    Attributes
    ----------
    codes, regularly
        Products, and those of them that are bought again and again.
    kinds
        The kind of each product.
    """

    codes: Set[int] = frozenset()
    regularly: Set[int] = frozenset()
    kinds: Sequence[int] = ()


class Explainer:
    """Tells why, with one basket in hand."""

    def __init__(
        self, shelf: RecommenderIndex, with_basket: Towards, place: int, location_id: str | None
    ) -> None:
        self.shelf = shelf
        # Where nothing was sold lately, and nothing is planned, the chain's stands in.
        self.here = place >= 0
        code = -1 if location_id is None else shelf.ranked.locations.get(location_id, -1)
        plan = shelf.ranked.plan.kinds
        self.planned = {kind for kind, of in plan.items() if code >= 0 and of.planned[code]}
        self.plain: dict[str, list[str]] = {}
        self.popular = set(shelf.popular.top[place].tolist())
        speakers = zip(with_basket.codes.tolist(), with_basket.speaker.tolist(), strict=True)
        self.basket = dict(speakers)
        self.kinds = [(kind, f"{kind}{THIS_WEEK}") for kind in plan]

    def bought_by(self, candidates: Candidates | None) -> Bought:
        """Return what a customer bought."""
        if candidates is None:
            return Bought()
        codes = self.shelf.code_of_row[candidates.products[candidates.own]]
        often = candidates.features["baskets"][candidates.own] >= REGULAR
        kinds = self.shelf.catalogue.kinds[codes]
        return Bought(set(codes.tolist()), set(codes[often].tolist()), kinds.tolist())

    def motives(
        self, candidates: Candidates, at: NDArray[np.int64], kind: str
    ) -> list[tuple[str, ...]]:
        """Name what moved the ranker towards candidates on a list of a kind, the most first."""
        moved = self.shelf.ranked.motives(candidates, at, kind)
        order = np.argsort(-moved, axis=1, kind="stable")
        falling = np.take_along_axis(moved, order, axis=1)
        counts = (falling > np.maximum(LEAST_PART * falling[:, :1], 0.0)).sum(axis=1)
        return [
            tuple(EXPLAINED_GROUPS[one] for one in row[:count])
            for row, count in zip(order.tolist(), counts.tolist(), strict=True)
        ]

    def shown(
        self, candidates: Candidates, at: NDArray[np.int64], motives: list[tuple[str, ...]]
    ) -> Shown:
        """Collect what there is to tell of some of a customer's candidates.

        Parameters
        ----------
        at
            Positions among the candidates.
        motives
            What speaks for each, the most first.
        """
        state = candidates.features
        # What was never bought has none of these; nobody asks for its clock.
        times, elapsed = np.fmax(state["baskets"][at], 1), np.fmax(state["recency_days"][at], 0)
        gap = self.shelf.catalogue.gap[self.shelf.code_of_row[candidates.products[at]]]
        clock = self.shelf.rhythm.at(
            times, elapsed, state["gap_mean"][at], gap, self.shelf.due_days
        )
        place = {one: number for number, one in enumerate(at.tolist())}
        return Shown(candidates, place, motives, clock)

    def tell(
        self,
        code: int,
        source: str,
        shown: Shown | None,
        at: int,
        bought: Bought,
    ) -> dict[str, Any]:
        """Return `reason`, a word, `explanations`, sentences, and the product's name if it has one.

        Parameters
        ----------
        source
            What proposed a product that is not a candidate.
        shown, at
            The customer's candidates on the list and the product's position among all.
        bought
            What the customer bought.
        """
        name = self.shelf.catalogue.names[code]
        of_name = {"name": name} if name else {}
        if shown is None and not bought.codes and code not in self.basket:
            return {"reason": source, "explanations": self._plainly(source), **of_name}
        times, age, gap, due, new = 0, None, 0.0, False, False
        promoted: tuple[str, ...] = ()
        motives: tuple[str, ...] = ()
        if shown is not None:
            candidates, place = shown.candidates, shown.place[at]
            source = self.shelf.ranked.reasons[int(candidates.source[at])]
            state = candidates.features
            motives = shown.motives[place]
            new = bool(self.shelf.first_days[candidates.products[at]] <= NEW_DAYS)
            if candidates.own[at]:
                times = max(int(_number(state["baskets"][at])), 1)
                gap = _number(state["gap_mean"][at])
                age = int(_number(state["recency_days"][at]))
                due = bool(shown.clock.states[place] == DUE)
            promoted = self._promoted(candidates, at)
        goes_with = like = kind = None
        if not times and bought.codes:
            goes_with = self._partner(code, bought)
            like = None if goes_with is not None else self._look_alike(code, bought)
            kind = self._kind(code, bought)
        in_basket = self.basket.get(code)
        facts = Facts(
            source,
            motives,
            times,
            age,
            gap,
            due,
            code in self.popular,
            new,
            promoted,
            self._named(goes_with),
            self._named(like),
            self._named(in_basket),
            kind,
            goes_with in bought.regularly or like in bought.regularly,
            here=self.here,
            offered_here=bool(promoted) and promoted[0] in self.planned,
        )
        if in_basket is not None and not times:
            source = "basket"
        return {"reason": source, "explanations": sentences(facts), **of_name}

    def _plainly(self, source: str) -> list[str]:
        """Tell of what nothing is known but its source, which is the same each time."""
        if source not in self.plain:
            self.plain[source] = sentences(Facts(source, here=self.here))
        return self.plain[source]

    def _promoted(self, candidates: Candidates, at: int) -> tuple[str, ...]:
        """Kinds of promotion that a candidate has for most of the week."""
        return tuple(
            kind
            for kind, name in self.kinds
            if name in candidates.features and candidates.features[name][at] >= MOST_OF_THE_WEEK
        )

    def _named(self, code: int | None) -> str | None:
        if code is None:
            return None
        return self.shelf.catalogue.names[code] or self.shelf.catalogue.ids[code]

    def _partner(self, code: int, bought: Bought) -> int | None:
        """Find what the customer buys that the product is most surely bought with."""
        partners = self.shelf.association.partner[self.shelf.association.span(code)]
        return _first(partners, bought.codes)

    def _look_alike(self, code: int, bought: Bought) -> int | None:
        return _first(self.shelf.similar.of(code)[0], bought.codes)

    def _kind(self, code: int, bought: Bought) -> str | None:
        """Name the product's kind if the customer buys several of it."""
        kind = int(self.shelf.catalogue.kinds[code])
        several = kind >= 0 and bought.kinds.count(kind) > 1
        return self.shelf.catalogue.kind_names[code] if several else None


def _number(value: np.float32) -> float:
    """Return a plain number, zero for none."""
    return 0.0 if value != value else float(value)


def _first(wanted: Int32s, among: Set[int]) -> int | None:
    """Return the first of the wanted that is among others."""
    return next((one for one in wanted.tolist() if one in among), None)
