"""The last stage of a list: what may not be shown goes, what is left is laid out.

Scored candidates in, positions in the order in which they are shown out; the same code
for a request and for a batch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from features.errors import InvalidInput
from features.typing import Bools, Floats, Int32s
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL, Catalogue


@dataclass(frozen=True)
class Layout:
    """How a list is laid out.

    Attributes
    ----------
    k
        Places.
    diversity
        0 for the best scores as they are, 1 for products as unlike each other as can be.
    allow_adjacent_category
        Whether two products of one kind may follow each other.
    pinned
        Products (codes) that get a place whatever their score, by place, from 1.
    boosts
        Factors on scores, by product (code).
    """

    k: int
    diversity: float = 0.0
    allow_adjacent_category: bool = False
    pinned: Mapping[int, int] = field(default_factory=dict)
    boosts: Mapping[int, float] = field(default_factory=dict)


def arrange(
    codes: Int32s, scores: Floats, allowed: Bools, catalogue: Catalogue, layout: Layout
) -> list[int]:
    """Choose and order the products of one list.

    The highest scores first, except that `diversity` takes off a product's score what it has
    in common with those before it (maximal marginal relevance, Carbonell and Goldstein 1998)
    and that no two products of a kind follow each other while there is another kind. A list
    of k products begins with the list of fewer.

    Parameters
    ----------
    codes, scores
        The candidates, each once; scores are above zero.
    allowed
        Which products of the catalogue may be shown.

    Returns
    -------
    list of int
        Positions among the candidates; -1 - code for a pinned product that is not one.
    """
    pinned = {place: code for place, code in layout.pinned.items() if allowed[code]}
    may = allowed[codes]
    for code in pinned.values():
        may &= codes != code
    if layout.boosts:
        scores = boosted(codes, scores, layout.boosts)
    left = np.flatnonzero(may)
    # Ties go to the lower code, so that the order does not depend on that of the candidates.
    left = left[np.lexsort((codes[left], -scores[left]))]
    chosen = _Queue(codes[left], scores[left], catalogue, layout)
    at = {code: position for position, code in enumerate(codes.tolist())} if pinned else {}
    found: list[int] = []
    for place in range(1, layout.k + 1):
        if place in pinned:
            code = pinned[place]
            found.append(at.get(code, -1 - code))
            chosen.follow(code)
            continue
        after = pinned.get(place + 1)
        one = chosen.take(before=after)
        # Where candidates run out, what is pinned further down follows.
        if one is not None:
            found.append(int(left[one]))
    return found


def boosted(codes: Int32s, scores: Floats, boosts: Mapping[int, float]) -> Floats:
    """Multiply the scores of the products that are to be seen more, or less."""
    factor = np.ones(len(codes))
    for code, by in boosts.items():
        factor[codes == code] = by
    return scores * factor


class _Queue:
    """Candidates in the order of their scores, handed out one by one."""

    def __init__(self, codes: Int32s, scores: Floats, catalogue: Catalogue, layout: Layout) -> None:
        self.codes: list[int] = codes.tolist()
        self.kinds = catalogue.kinds[codes]
        self.kind_list: list[int] = self.kinds.tolist()
        self.kind_of = catalogue.kinds
        self.apart = not layout.allow_adjacent_category
        self.diversity = layout.diversity
        self.last = -1
        self.left = list(range(len(self.codes)))
        if self.diversity:
            top = float(scores[0]) if len(scores) else 1.0
            self.worth = (1 - self.diversity) * (scores / max(top, 1e-12))
            self.closest = np.zeros(len(self.codes))
            # What is of no group is like nothing, not even like others of none.
            self.groups = [
                (SIMILARITY_BY_LEVEL[level], np.where(of[codes] < 0, -2, of[codes]), of)
                for level, of in catalogue.groups.items()
            ]

    def take(self, before: int | None) -> int | None:
        """Hand out the next, not of the kind of the last one or of the product `before`."""
        if not self.left:
            return None
        barred = {self.last} if self.apart else set()
        if before is not None and self.apart:
            barred.add(int(self.kind_of[before]))
        barred.discard(-1)
        one = self._best_of_most_unlike(barred) if self.diversity else self._first(barred)
        self.left.remove(one)
        self.follow(self.codes[one])
        return one

    def follow(self, code: int) -> None:
        """Take note of a product that is shown."""
        self.last = int(self.kind_of[code])
        if self.diversity:
            for likeness, mine, of in self.groups:
                alike = mine == of[code]
                np.maximum(self.closest, likeness, out=self.closest, where=alike)

    def _first(self, barred: set[int]) -> int:
        return next((one for one in self.left if self.kind_list[one] not in barred), self.left[0])

    def _best_of_most_unlike(self, barred: set[int]) -> int:
        value = self.worth - self.diversity * self.closest
        for kind in barred:
            value[self.kinds == kind] -= 10.0
        one = int(np.argmax(value))
        self.worth[one] = -np.inf
        return one


def known_codes(catalogue: Catalogue, product_ids: Iterable[str], field_name: str) -> list[int]:
    """Return the codes of products that have to be known.

    Raises
    ------
    InvalidInput
        Naming the first that is not.
    """
    found = []
    for position, one in enumerate(product_ids):
        if one not in catalogue.codes:
            raise InvalidInput(
                f"{field_name}[{position}] = {one!r} is not in the catalogue and was never "
                "sold; leave it out.",
                field=f"{field_name}[{position}]",
            )
        found.append(catalogue.codes[one])
    return found
