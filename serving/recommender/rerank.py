"""Re-ranking, the last stage of a list: filters, diversity, pinned products and boosts.

Scored candidates in; positions of the shown candidates in order out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from features.errors import InvalidInput
from features.typing import Bools, Floats, Int32s
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL, Catalogue

# Lowers the value of a product whose category would repeat below that of all others.
_REPEATED_CATEGORY = 10.0


@dataclass(frozen=True)
class Slate:
    """Layout of a list.

    Attributes
    ----------
    k
        Number of products.
    diversity
        From 0, the highest scores, to 1, products as different from each other as possible.
    allow_adjacent_category
        Whether two products of one category may be adjacent.
    pinned
        Product codes by rank from 1, whatever their scores.
    boosts
        Factors on scores, by product code.
    """

    k: int
    diversity: float = 0.0
    allow_adjacent_category: bool = False
    pinned: Mapping[int, int] = field(default_factory=dict)
    boosts: Mapping[int, float] = field(default_factory=dict)


def rerank(
    codes: Int32s, scores: Floats, allowed: Bools, catalogue: Catalogue, slate: Slate
) -> list[int]:
    """Choose and order the products of a list.

    Products are taken by score. With `diversity`, their similarity to the products before them
    is subtracted (maximal marginal relevance, Carbonell and Goldstein 1998). Unless
    `allow_adjacent_category`, a product of the category of its neighbour is taken only if no
    other category is left. A list of k products begins with the list of fewer products.

    Parameters
    ----------
    codes, scores
        Candidates, each once, with scores above zero.
    allowed
        Mask over the catalogue.

    Returns
    -------
    list of int
        Positions among the candidates; -1 - code for a pinned product that is none.
    """
    pinned = {rank: code for rank, code in slate.pinned.items() if allowed[code]}
    eligible = allowed[codes]
    for code in pinned.values():
        eligible &= codes != code
    if slate.boosts:
        scores = boost(codes, scores, slate.boosts)
    order = np.flatnonzero(eligible)
    # Ties go to the lower code, so that the result does not depend on the order of candidates.
    order = order[np.lexsort((codes[order], -scores[order]))]
    queue = _Queue(codes[order], scores[order], catalogue, slate)
    positions = {code: i for i, code in enumerate(codes.tolist())} if pinned else {}
    chosen: list[int] = []
    for rank in range(1, slate.k + 1):
        if rank in pinned:
            code = pinned[rank]
            chosen.append(positions.get(code, -1 - code))
            queue.note_shown(code)
            continue
        candidate = queue.take(before=pinned.get(rank + 1))
        # Without candidates, later pinned products move up.
        if candidate is not None:
            chosen.append(int(order[candidate]))
    return chosen


def ordered_by(scores: Sequence[float], slate: Slate) -> list[str]:
    """Name what orders a list: `score` alone where no product is below one of a lower score.

    Otherwise `score` is followed by the options of the slate that move products.
    """
    if all(first >= second for first, second in pairwise(scores)):
        return ["score"]
    rules = {
        "boosts": bool(slate.boosts),
        "diversity": slate.diversity > 0,
        "category": not slate.allow_adjacent_category,
        "pinned": bool(slate.pinned),
    }
    return ["score", *(rule for rule, is_used in rules.items() if is_used)]


def boost(codes: Int32s, scores: Floats, boosts: Mapping[int, float]) -> Floats:
    """Multiply the scores of boosted products."""
    factors = np.ones(len(codes))
    for code, factor in boosts.items():
        factors[codes == code] = factor
    return scores * factors


class _Queue:
    """Candidates in descending order of score, taken one by one."""

    def __init__(self, codes: Int32s, scores: Floats, catalogue: Catalogue, slate: Slate) -> None:
        self.codes: list[int] = codes.tolist()
        self.categories = catalogue.categories[codes]
        self.category_list: list[int] = self.categories.tolist()
        self.category_of_code = catalogue.categories
        self.separate = not slate.allow_adjacent_category
        self.diversity = slate.diversity
        self.last_category = -1
        self.remaining = list(range(len(self.codes)))
        if self.diversity:
            top = float(scores[0]) if len(scores) else 1.0
            self.relevance = (1 - self.diversity) * (scores / max(top, 1e-12))
            self.similarity = np.zeros(len(self.codes))
            # Products without a group are similar to none, not even to each other.
            self.groups = [
                (SIMILARITY_BY_LEVEL[level], np.where(group[codes] < 0, -2, group[codes]), group)
                for level, group in catalogue.groups.items()
            ]

    def take(self, before: int | None) -> int | None:
        """Take the best candidate whose category differs from the last one's and from `before`'s.

        Parameters
        ----------
        before
            Code of the product that is shown next.
        """
        if not self.remaining:
            return None
        barred = {self.last_category} if self.separate else set()
        if before is not None and self.separate:
            barred.add(int(self.category_of_code[before]))
        barred.discard(-1)
        best = self._most_relevant(barred) if self.diversity else self._first(barred)
        self.remaining.remove(best)
        self.note_shown(self.codes[best])
        return best

    def note_shown(self, code: int) -> None:
        """Update the state for a product that is shown."""
        self.last_category = int(self.category_of_code[code])
        if self.diversity:
            for similarity, group_of_candidate, group in self.groups:
                same = group_of_candidate == group[code]
                np.maximum(self.similarity, similarity, out=self.similarity, where=same)

    def _first(self, barred: set[int]) -> int:
        return next(
            (i for i in self.remaining if self.category_list[i] not in barred), self.remaining[0]
        )

    def _most_relevant(self, barred: set[int]) -> int:
        value = self.relevance - self.diversity * self.similarity
        for category in barred:
            value[self.categories == category] -= _REPEATED_CATEGORY
        best = int(np.argmax(value))
        self.relevance[best] = -np.inf
        return best


def require_codes(catalogue: Catalogue, product_ids: Iterable[str], field_name: str) -> list[int]:
    """Return the codes of products.

    Raises
    ------
    InvalidInput
        Naming the first unknown product.
    """
    codes = []
    for position, product in enumerate(product_ids):
        if product not in catalogue.codes:
            raise InvalidInput(
                f"{field_name}[{position}] = {product!r} is not in the catalogue and was never "
                "sold; leave it out.",
                field=f"{field_name}[{position}]",
            )
        codes.append(catalogue.codes[product])
    return codes
