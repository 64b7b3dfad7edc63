"""From a wish to a list: retrieve what is ready, weigh it for the moment, arrange it, say why.

A shelf and a wish in, an answer for each customer out, from a full history down to none at
all. Serving and batch both ask here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.calendar import to_date, to_day
from features.errors import InvalidInput
from features.typing import Floats, Int32s
from serving.recommender.explain import Bought, Explainer, Shown
from serving.recommender.item_to_item import completing
from serving.recommender.posted_history import Posted, candidates, motives
from serving.recommender.query import LONGEST, RANKED_BY, ListQuery
from serving.recommender.rerank import Layout, arrange, known_codes
from training.models.recommender.index.candidate_store import Candidates
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.index.replenishment import LAPSED
from training.models.recommender.ranking.context_features import remaining_need

# With fewer baskets a list rests more on what others buy than on the customer's own.
FEW_BASKETS = 3
# How far the odds move towards the lift with the basket; candidates already know habits.
BASKET_WEIGHT = 0.5


@dataclass(frozen=True)
class Pool:
    """What a list is chosen from.

    Attributes
    ----------
    basis
        What it rests on: `history`, `few_purchases`, `session`, `population`.
    codes, scores
        Products and how much speaks for each.
    own, at
        The customer's candidates, and the position among them of the first products.
    source
        What proposed the others.
    """

    basis: str
    codes: Int32s
    scores: Floats
    own: Candidates | None = None
    at: NDArray[np.int64] | None = None
    source: str = "popular"


class ListRequest:
    """One wish on one shelf: what all customers of a request share is worked out once."""

    def __init__(self, shelf: RecommenderIndex, wish: ListQuery) -> None:
        wish.check(shelf)
        self.shelf = shelf
        self.wish = wish
        catalogue = shelf.catalogue
        self.basket = catalogue.coded(dict.fromkeys(wish.basket_product_ids))
        self.allowed = wish.filters.allowed(catalogue)
        self.allowed[self.basket] = False
        location = wish.filters.location_id
        self.place = -1 if location is None else shelf.popular.find(location)
        self.day = shelf.day if wish.at is None else to_day(wish.at)
        pinned = known_codes(catalogue, wish.pinned.values(), "pinned")
        self.layout = Layout(
            wish.k,
            wish.diversity,
            wish.allow_adjacent_category,
            dict(zip(wish.pinned, pinned, strict=True)),
            {catalogue.codes[one]: by for one, by in wish.boosts.items() if one in catalogue.codes},
        )
        self.with_basket = shelf.association.towards(self.basket)
        self.wanted = self._wanted()
        self.nobody: dict[str, Any] | None = None
        self.teller = Explainer(shelf, self.with_basket, self.place, location)

    def answer(self, customer_id: str) -> dict[str, Any]:
        """Answer for one customer: customer_id, basis and items, best first."""
        pool = self.pool(customer_id)
        if pool.basis not in ("session", "population"):
            return self._answer(customer_id, pool, self.layout)
        # Whoever is not known gets the same list.
        if self.nobody is None:
            self.nobody = self._answer(customer_id, pool, self.layout)
        return {**self.nobody, "customer_id": customer_id}

    def answer_posted(self, name: str, orders: Posted | None) -> dict[str, Any]:
        """Answer for a customer by their own orders, `name` being repeated in the answer.

        Without any, the basket in hand speaks, or else what is popular.

        Raises
        ------
        InvalidInput
            If the wish says besides what was bought.
        """
        if self.wish.recent_purchases:
            raise InvalidInput(
                "recent_purchases cannot be given with histories, because it would apply to all of "
                "them; add each purchase to the orders of its history and set `at`.",
                field="recent_purchases",
            )
        return self._answer(name, self._posted_pool(orders), self.layout)

    def _posted_pool(self, orders: Posted | None) -> Pool:
        if RANKED_BY[self.wish.list_name] is None:
            return self._popular()
        if orders is None:
            return self._without_history()
        at = self.wish.at or self.shelf.ranked.as_of
        found = candidates(self.shelf, orders, at, self.wish.filters.location_id)
        if not found.own.any():
            # None of what was bought is known here.
            return self._without_history()
        return self._ranked(found, _basis(orders.baskets))

    def _answer(self, customer_id: str, pool: Pool, layout: Layout) -> dict[str, Any]:
        chosen = arrange(pool.codes, pool.scores, self.allowed, self.shelf.catalogue, layout)
        bought, shown = self.teller.bought_by(pool.own), self._shown(pool, chosen)
        items = [
            {"rank": rank, **self._item(pool, at, shown, bought)}
            for rank, at in enumerate(chosen, 1)
        ]
        return {"customer_id": customer_id, "basis": pool.basis, "items": items}

    def rerank(self, customer_id: str, product_ids: Sequence[str]) -> dict[str, Any]:
        """Put given products in a customer's order; those that are no candidates stand behind."""
        pool = self.pool(customer_id)
        catalogue = self.shelf.catalogue
        wanted = known_codes(catalogue, dict.fromkeys(product_ids), "product_ids")
        among = np.isin(pool.codes, wanted)
        rest = np.array([one for one in wanted if one not in set(pool.codes[among])], np.int32)
        least = float(pool.scores[among].min(initial=1.0))
        shares = self.shelf.popular.share[rest].astype(np.float64)
        if self.wanted is not None:
            shares = shares * self.wanted[rest]
        behind = (0.5 * least) * (shares + 1e-9) / (shares.max(initial=0.0) + 1e-9)
        own = 0 if pool.at is None else len(pool.at)
        at = None if pool.at is None else pool.at[among[:own]]
        chosen = Pool(
            pool.basis,
            np.concatenate([pool.codes[among], rest]),
            np.concatenate([pool.scores[among], behind]),
            pool.own,
            at,
            pool.source,
        )
        return self._answer(customer_id, chosen, Layout(len(wanted), allow_adjacent_category=True))

    def pool(self, customer_id: str) -> Pool:
        """Find what there is for a customer."""
        kind = RANKED_BY[self.wish.list_name]
        if kind is None:
            return self._popular()
        row = self.shelf.ranked.codes.get(customer_id)
        if row is None:
            return self._without_history()
        basis = _basis(self.shelf.baskets[row])
        if kind not in self.shelf.ranked.kinds:
            return self._habits(row, basis)
        found = self.shelf.ranked.candidates(
            customer_id,
            at=self.wish.at,
            location_id=self.wish.filters.location_id,
            bought=self.wish.recent_purchases or None,
            kinds=(kind,),
            own_alone=self.wish.list_name == "buy_again",
        )
        return self._ranked(found, basis)

    def _ranked(self, found: Candidates, basis: str) -> Pool:
        """Choose the candidates that are of the kind of list that is asked for."""
        codes = self.shelf.code_of_row[found.products]
        scores = self._for_kind(found, found.scores[RANKED_BY[self.wish.list_name] or "now"])
        some = np.flatnonzero(scores > 0)
        beside = self._beside_basket(codes[some], scores[some])
        pool = Pool(basis, codes[some], beside, found, some)
        if not self._holds_enough(pool) and self.wish.list_name in ("for_you", "this_month"):
            return self._filled(pool)
        return pool

    def _for_kind(self, candidates: Candidates, scores: Floats) -> Floats:
        """Zero what is not of this kind of list; NaN is what the ranker says of such."""
        if self.wish.list_name == "new_to_you":
            return np.fmax(scores, 0.0)
        scores = np.fmax(scores, 1e-9)
        # In the order of the chance, which knows the clock too and weighs it better: on the
        # bundled data what was bought lately is bought again before what is overdue.
        return (
            np.where(candidates.own, scores, 0.0) if self.wish.list_name == "buy_again" else scores
        )

    def _beside_basket(self, codes: Int32s, scores: Floats) -> Floats:
        """Bring forward what goes with the basket in hand: its odds rise by the lift."""
        found = self.with_basket
        if not len(found.codes):
            return scores
        at = np.minimum(np.searchsorted(found.codes, codes), len(found.codes) - 1)
        weight = np.where(found.codes[at] == codes, found.weight[at], 0.0)
        odds = scores / np.maximum(1 - scores, 1e-9) * np.exp(BASKET_WEIGHT * weight)
        return np.asarray(odds / (1 + odds))

    def _shown(self, pool: Pool, chosen: Sequence[int]) -> Shown | None:
        """Collect what there is to tell of the customer's own candidates on a list."""
        kind = RANKED_BY[self.wish.list_name]
        if pool.own is None or pool.at is None or kind is None:
            return None
        at = pool.at[[place for place in chosen if 0 <= place < len(pool.at)]]
        posted = pool.own.first < 0
        said = (
            motives(self.shelf, pool.own, at) if posted else self.teller.motives(pool.own, at, kind)
        )
        return self.teller.shown(pool.own, at, said)

    def _habits(self, row: int, basis: str) -> Pool:
        """Rank what a customer bought by how often and lately, where no ranker was learned."""
        ranked = self.shelf.ranked
        first, end = ranked.spans[row]
        column = ranked.about["state"]["pair"].index("decay_basket")
        decay = np.array(ranked.arrays["state"][first:end, column], dtype=np.float64)
        codes = self.shelf.code_of_row[np.asarray(ranked.arrays["product"][first:end])]
        # What was never bought has none, and that is not above zero.
        own = decay > 0
        if self.wish.list_name == "new_to_you":
            # Among the candidates, for these are known to be new.
            new = codes[~own]
            shares = self.shelf.popular.share[new].astype(np.float64) + 1e-9
            return Pool(basis, *self._after_bought(new, shares))
        habits = self._after_bought(codes[own], decay[own] / (1.0 + decay[own]))
        pool = Pool(basis, *habits, source="repeat")
        full = self.wish.list_name == "buy_again" or self._holds_enough(pool)
        return pool if full else self._filled(pool)

    def _holds_enough(self, pool: Pool) -> bool:
        """Whether there is enough for any k: a longer list must begin with the shorter."""
        return int(self.allowed[pool.codes].sum()) >= LONGEST

    def _popular(self) -> Pool:
        codes, shares = self.shelf.popular.popular(self.place)
        return Pool("population", codes, shares.astype(np.float64))

    def _without_history(self) -> Pool:
        if self.wish.list_name == "buy_again":
            return Pool("population", np.zeros(0, np.int32), np.zeros(0))
        if not len(self.with_basket.codes):
            popular = self._popular()
            return Pool("population", *self._after_bought(popular.codes, popular.scores))
        scores = completing(self.shelf, self.with_basket)
        beside = self._after_bought(self.with_basket.codes, scores)
        return self._filled(Pool("session", *beside, source="basket"))

    def _filled(self, pool: Pool) -> Pool:
        """Let popular products follow what there is."""
        popular = self._popular()
        more, shares = self._after_bought(popular.codes, popular.scores)
        new = np.ones(self.shelf.catalogue.size, bool)
        new[pool.codes] = False
        rest = new[more]
        least = float(pool.scores.min(initial=1.0))
        behind = shares[rest] * (0.5 * least / max(float(shares.max(initial=0.0)), 1e-9))
        return Pool(
            pool.basis,
            np.concatenate([pool.codes, more[rest]]),
            np.concatenate([pool.scores, behind]),
            pool.own,
            np.arange(len(pool.codes)) if pool.at is None else pool.at,
            pool.source,
        )

    def _wanted(self) -> Floats | None:
        """Say by product how much of what was just bought is wanted, by the gap of all buyers.

        For lists that no ranker made, of customers whose own gaps are not known; nothing of it
        is new to anyone.
        """
        catalogue, bought = self.shelf.catalogue, self.wish.recent_purchases
        days = {
            catalogue.codes[one]: to_day(at) for one, at in bought.items() if one in catalogue.codes
        }
        if not days:
            return None
        codes = np.array(list(days), np.int32)
        elapsed = np.maximum(self.day - np.array(list(days.values())), 0).astype(np.float32)
        none = np.full(len(codes), np.nan, np.float32)
        state = {
            "gap_mean": none,
            "product_gap": catalogue.gap[codes],
            "customer_cadence": np.zeros(len(codes), np.float32),
        }
        found = np.ones(catalogue.size)
        found[codes] = (
            0.0 if self.wish.list_name == "new_to_you" else remaining_need(state, elapsed)
        )
        return found

    def _after_bought(self, codes: Int32s, scores: Floats) -> tuple[Int32s, Floats]:
        if self.wanted is None:
            return codes, scores
        wanted = self.wanted[codes]
        return codes[wanted > 0], (scores * wanted)[wanted > 0]

    def _item(self, pool: Pool, place: int, shown: Shown | None, bought: Bought) -> dict[str, Any]:
        if place < 0:
            code, score, source = -1 - place, 0.0, "pinned"
        else:
            code, score = int(pool.codes[place]), float(pool.scores[place])
            first = len(pool.codes) if pool.at is None else len(pool.at)
            source = pool.source if place < first else "popular"
        mine = pool.own is not None and pool.at is not None and 0 <= place < len(pool.at)
        at = int(pool.at[place]) if mine and pool.at is not None else -1
        said = self.teller.tell(code, source, shown if mine else None, at, bought)
        found = {"product_id": self.shelf.catalogue.ids[code], "score": score, **said}
        if self.wish.list_name == "buy_again" and mine and shown is not None:
            clock, number = shown.clock, shown.place[at]
            found["due"] = str(clock.states[number])
            if found["due"] != LAPSED:
                ahead = self.day + round(float(clock.expected[number]))
                found["expected_on"] = to_date(ahead).isoformat()
        return found


def _basis(baskets: int) -> str:
    return "few_purchases" if baskets < FEW_BASKETS else "history"
