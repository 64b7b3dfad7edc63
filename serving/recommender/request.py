"""Answer a list query: retrieve candidates, score them in context, re-rank and explain them.

An index and a query in; one answer per customer out, for customers with many purchases, few or
none.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from features.calendar import to_date, to_day
from features.errors import InvalidInput
from features.typing import Floats, Int32s, Ints
from serving.recommender.explain import Explainer, PurchasedProducts, ShownCandidates
from serving.recommender.item_to_item import basket_probabilities
from serving.recommender.list_candidates import ListCandidates, basis_of
from serving.recommender.posted_history import PostedOrders, posted_candidates, reason_groups
from serving.recommender.query import MAX_LENGTH, RANKED_BY, ListQuery
from serving.recommender.rerank import Slate, ordered_by, require_codes, rerank
from serving.stopping import check_stopped
from training.models.recommender.index.candidate_scoring import Candidates, score_candidates
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.index.replenishment import LAPSED
from training.models.recommender.ranking.context_features import remaining_need

# Exponent of the lift with the basket; scores already reflect the customer's favourites.
BASKET_EXPONENT = 0.5
LEAST_SCORE = 1e-9
# Customers whose candidates are one matrix; more take memory, and are no faster.
CUSTOMERS_AT_ONCE = 50


class ListRequest:
    """One query to one index; holds what all customers of a request share."""

    def __init__(self, index: RecommenderIndex, query: ListQuery) -> None:
        query.check(index)
        self.index = index
        self.query = query
        self.ranked_by = RANKED_BY[query.list_name]
        catalogue = index.catalogue
        basket = catalogue.codes_of(dict.fromkeys(query.basket_product_ids))
        self.allowed = query.filters.allowed(catalogue)
        self.allowed[basket] = False
        location_id = query.filters.location_id
        self.location = -1 if location_id is None else index.popular.position(location_id)
        self.day = index.day if query.at is None else to_day(query.at)
        pinned = require_codes(catalogue, query.pinned.values(), "pinned")
        boosts = query.boosts.items()
        self.slate = Slate(
            query.k,
            query.diversity,
            query.allow_adjacent_category,
            dict(zip(query.pinned, pinned, strict=True)),
            {catalogue.codes[p]: factor for p, factor in boosts if p in catalogue.codes},
        )
        context = dict.fromkeys((*query.basket_product_ids, *query.viewed_product_ids))
        self.partners = index.association.basket_partners(catalogue.codes_of(context))
        self.need = self._need()
        self.explainer = Explainer(index, self.partners, self.location, location_id)
        self._unknown_answer: dict[str, Any] | None = None

    def answers(self, customer_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Answer for each customer: customer_id, basis, ordered_by, and items in order."""
        for start in range(0, len(customer_ids), CUSTOMERS_AT_ONCE):
            check_stopped()
            block = customer_ids[start : start + CUSTOMERS_AT_ONCE]
            known = list(dict.fromkeys(filter(self._has_candidates, block)))
            lists = dict(zip(known, self._answers(known, self._known(known)), strict=True))
            for name in block:
                yield lists[name] if name in lists else self._answer_unknown(name)

    def answer_posted(self, name: str, orders: PostedOrders | None) -> dict[str, Any]:
        """Answer for a customer by posted orders; without any, by the basket or popularity.

        Parameters
        ----------
        name
            Returned as customer_id.

        Raises
        ------
        InvalidInput
            If the query has recent purchases.
        """
        if self.query.recent_purchases:
            raise InvalidInput(
                "recent_purchases cannot be given with histories, because it would apply to all of "
                "them; add each purchase to the orders of its history and set `at`.",
                field="recent_purchases",
            )
        check_stopped()
        return self._answers([name], [self._posted_candidates(orders)])[0]

    def rerank(self, customer_id: str, product_ids: Sequence[str]) -> dict[str, Any]:
        """Order given products for a customer; those that are no candidates come last."""
        candidates = self.candidates(customer_id)
        catalogue = self.index.catalogue
        given = require_codes(catalogue, dict.fromkeys(product_ids), "product_ids")
        among = np.isin(candidates.codes, given)
        known = set(candidates.codes[among])
        rest = np.array([code for code in given if code not in known], np.int32)
        least = float(candidates.scores[among].min(initial=1.0))
        shares = self.index.popular.share[rest].astype(np.float64)
        if self.need is not None:
            shares = shares * self.need[rest]
        last = (0.5 * least) * (shares + 1e-9) / (shares.max(initial=0.0) + 1e-9)
        positions = candidates.positions
        chosen = ListCandidates(
            candidates.basis,
            np.concatenate([candidates.codes[among], rest]),
            np.concatenate([candidates.scores[among], last]),
            candidates.candidates,
            None if positions is None else positions[among[: len(positions)]],
            candidates.reason,
        )
        slate = Slate(len(given), allow_adjacent_category=True)
        return self._answers([customer_id], [chosen], slate)[0]

    def candidates(self, customer_id: str) -> ListCandidates:
        """Return the products that a customer's list is chosen from."""
        if self._has_candidates(customer_id):
            return self._known([customer_id])[0]
        return self._unknown()

    def _has_candidates(self, customer_id: str) -> bool:
        is_known = customer_id in self.index.candidates.customer_rows
        return is_known and self.ranked_by is not None

    def _known(self, customer_ids: Sequence[str]) -> list[ListCandidates]:
        """Return the products that the lists of customers with candidates are chosen from."""
        store = self.index.candidates
        rows = [store.customer_rows[name] for name in customer_ids]
        bases = [basis_of(self.index.baskets[row]) for row in rows]
        if self.ranked_by not in store.about.lists:
            return [self._unranked(*pair) for pair in zip(rows, bases, strict=True)]
        scored = score_candidates(
            store,
            customer_ids,
            at=self.query.at,
            location_id=self.query.filters.location_id,
            recent_purchases=self.query.recent_purchases or None,
            lists=(self.ranked_by,),
            bought_before_only=self.query.list_name == "buy_again",
            lower_recent=self.query.lower_recent,
        )
        return [self._from_scores(*pair) for pair in zip(scored, bases, strict=True)]

    def _unknown(self) -> ListCandidates:
        """Return the products that the list of a customer without candidates is chosen from."""
        return self._popular() if self.ranked_by is None else self._without_history()

    def _answer_unknown(self, name: str) -> dict[str, Any]:
        """Answer for a customer without candidates; all of them get the same list."""
        if self._unknown_answer is None:
            self._unknown_answer = self._answers([name], [self._unknown()])[0]
        return {**self._unknown_answer, "customer_id": name}

    def _posted_candidates(self, orders: PostedOrders | None) -> ListCandidates:
        if self.ranked_by is None or orders is None:
            return self._unknown()
        at = self.query.at or self.index.candidates.as_of
        location_id = self.query.filters.location_id
        candidates = posted_candidates(self.index, orders, at, location_id)
        if not candidates.bought_before.any():
            # None of the posted products is known.
            return self._without_history()
        return self._from_scores(candidates, basis_of(orders.baskets))

    def _from_scores(self, candidates: Candidates, basis: str) -> ListCandidates:
        """Select the candidates that belong on the list."""
        codes = self.index.code_of_row[candidates.products]
        scores = self._list_scores(candidates, candidates.scores[self.ranked_by or "now"])
        positions = np.flatnonzero(scores > 0)
        scores = self._raise_partners(codes[positions], scores[positions])
        chosen = ListCandidates(basis, codes[positions], scores, candidates, positions)
        is_filled = self.query.list_name in ("for_you", "this_month")
        return self._fill(chosen) if is_filled and not self._is_enough(chosen) else chosen

    def _list_scores(self, candidates: Candidates, scores: Floats) -> Floats:
        """Return scores that are zero for candidates that do not belong on the list."""
        if self.query.list_name == "new_to_you":
            return np.fmax(scores, 0.0)
        scores = np.fmax(scores, LEAST_SCORE)
        if self.query.list_name == "buy_again":
            # Ordered by probability, which reflects replenishment too, and better: on the bundled
            # data recently bought products are bought again before overdue ones.
            return np.where(candidates.bought_before, scores, 0.0)
        return scores

    def _raise_partners(self, codes: Int32s, scores: Floats) -> Floats:
        """Multiply the odds of products associated with the basket by a power of the lift."""
        partners = self.partners
        if not len(partners.codes):
            return scores
        index = np.minimum(np.searchsorted(partners.codes, codes), len(partners.codes) - 1)
        weight = np.where(partners.codes[index] == codes, partners.weight[index], 0.0)
        odds = scores / np.maximum(1 - scores, 1e-9) * np.exp(BASKET_EXPONENT * weight)
        return np.asarray(odds / (1 + odds))

    def _unranked(self, row: int, basis: str) -> ListCandidates:
        """Score candidates by decayed baskets and popularity, if no ranker was trained."""
        store = self.index.candidates
        first, end = store.spans[row]
        column = store.about.interaction_state.index("decay_basket")
        decay = np.array(store.arrays["interaction_state"][first:end, column], dtype=np.float64)
        codes = self.index.code_of_row[np.asarray(store.arrays["product"][first:end])]
        # NaN, and so not above zero, for products that were never bought.
        bought = decay > 0
        if self.query.list_name == "new_to_you":
            new = codes[~bought]
            shares = self.index.popular.share[new].astype(np.float64) + LEAST_SCORE
            return ListCandidates(basis, *self._reduce(new, shares))
        repeat = self._reduce(codes[bought], decay[bought] / (1.0 + decay[bought]))
        candidates = ListCandidates(basis, *repeat, reason="repeat")
        is_complete = self.query.list_name == "buy_again" or self._is_enough(candidates)
        return candidates if is_complete else self._fill(candidates)

    def _is_enough(self, candidates: ListCandidates) -> bool:
        """Whether the longest list can be filled; shorter lists are its first products."""
        return int(self.allowed[candidates.codes].sum()) >= MAX_LENGTH

    def _popular(self) -> ListCandidates:
        codes, shares = self.index.popular.most_popular(self.location)
        return ListCandidates("population", codes, shares.astype(np.float64))

    def _without_history(self) -> ListCandidates:
        if self.query.list_name == "buy_again":
            return ListCandidates("population", np.zeros(0, np.int32), np.zeros(0))
        if not len(self.partners.codes):
            popular = self._popular()
            return ListCandidates("population", *self._reduce(popular.codes, popular.scores))
        scores = basket_probabilities(self.index, self.partners)
        partners = self._reduce(self.partners.codes, scores)
        return self._fill(ListCandidates("session", *partners, reason="basket"))

    def _fill(self, candidates: ListCandidates) -> ListCandidates:
        """Append popular products, with scores below those of the others."""
        popular = self._popular()
        codes, shares = self._reduce(popular.codes, popular.scores)
        is_new = np.ones(self.index.catalogue.size, bool)
        is_new[candidates.codes] = False
        rest = is_new[codes]
        least = float(candidates.scores.min(initial=1.0))
        scores = shares[rest] * (0.5 * least / max(float(shares.max(initial=0.0)), 1e-9))
        positions = candidates.positions
        return ListCandidates(
            candidates.basis,
            np.concatenate([candidates.codes, codes[rest]]),
            np.concatenate([candidates.scores, scores]),
            candidates.candidates,
            np.arange(len(candidates.codes)) if positions is None else positions,
            candidates.reason,
        )

    def _need(self) -> Floats | None:
        """Return factors that reduce scores of recently bought products; None without any.

        By product code, and by the gaps of all customers: for lists that no ranker scores.
        """
        catalogue = self.index.catalogue
        days = {
            catalogue.codes[product]: to_day(time)
            for product, time in self.query.recent_purchases.items()
            if product in catalogue.codes
        }
        if not days or not self.query.lower_recent:
            return None
        codes = np.array(list(days), np.int32)
        elapsed = np.maximum(self.day - np.array(list(days.values())), 0).astype(np.float32)
        state = {
            "gap_mean": np.full(len(codes), np.nan, np.float32),
            "product_gap": catalogue.gap[codes],
            "customer_cadence": np.zeros(len(codes), np.float32),
        }
        is_new_list = self.query.list_name == "new_to_you"
        need = np.ones(catalogue.size)
        need[codes] = 0.0 if is_new_list else remaining_need(state, elapsed)
        return need

    def _reduce(self, codes: Int32s, scores: Floats) -> tuple[Int32s, Floats]:
        """Reduce the scores of recently bought products, and drop those without need."""
        if self.need is None:
            return codes, scores
        need = self.need[codes]
        return codes[need > 0], (scores * need)[need > 0]

    def _answers(
        self,
        names: Sequence[str],
        candidates: Sequence[ListCandidates],
        slate: Slate | None = None,
    ) -> list[dict[str, Any]]:
        """Choose, order and explain the products of each list."""
        slate = slate or self.slate
        catalogue = self.index.catalogue
        chosen = [
            rerank(of_one.codes, of_one.scores, self.allowed, catalogue, slate)
            for of_one in candidates
        ]
        answers = []
        for name, of_one, order, shown in zip(
            names, candidates, chosen, self._shown(candidates, chosen), strict=True
        ):
            purchased = self.explainer.purchased(of_one.candidates)
            items = [
                {"rank": rank, **self._item(of_one, i, shown, purchased)}
                for rank, i in enumerate(order, 1)
            ]
            ordering = ordered_by([item["score"] for item in items], slate)
            answers.append(
                {
                    "customer_id": name,
                    "basis": of_one.basis,
                    "ordered_by": ordering,
                    "items": items,
                }
            )
        return answers

    def _shown(
        self, candidates: Sequence[ListCandidates], chosen: Sequence[list[int]]
    ) -> list[ShownCandidates | None]:
        """Collect what explains the candidates on each list; None for lists without candidates."""
        scored: dict[int, tuple[Candidates, Ints]] = {}
        for number, (of_one, order) in enumerate(zip(candidates, chosen, strict=True)):
            if of_one.candidates is None or of_one.positions is None or self.ranked_by is None:
                continue
            positions = of_one.positions[[i for i in order if 0 <= i < of_one.scored]]
            scored[number] = of_one.candidates, positions
        groups = self._reason_groups(list(scored.values()))
        shown: list[ShownCandidates | None] = [None] * len(candidates)
        for (number, pair), its_groups in zip(scored.items(), groups, strict=True):
            shown[number] = self.explainer.shown(*pair, its_groups)
        return shown

    def _reason_groups(
        self, shown: Sequence[tuple[Candidates, Ints]]
    ) -> Iterable[list[tuple[str, ...]]]:
        """Return the reason groups of the shown candidates of each customer."""
        if not shown or self.ranked_by is None:
            return []
        if shown[0][0].first < 0:
            return [reason_groups(*pair) for pair in shown]
        return self.explainer.groups(shown, self.ranked_by)

    def _item(
        self,
        candidates: ListCandidates,
        i: int,
        shown: ShownCandidates | None,
        purchased: PurchasedProducts,
    ) -> dict[str, Any]:
        """Describe a product of a list; `i` as `rerank` returns it."""
        if i < 0:
            code, score, reason = -1 - i, 0.0, "pinned"
        else:
            code, score = int(candidates.codes[i]), float(candidates.scores[i])
            first = len(candidates.codes) if candidates.positions is None else candidates.scored
            reason = candidates.reason if i < first else "popular"
        positions = candidates.positions
        position = -1
        if candidates.candidates is not None and positions is not None and 0 <= i < len(positions):
            position = int(positions[i])
        is_scored = position >= 0
        explained = self.explainer.explain(
            code, reason, shown if is_scored else None, position, purchased
        )
        item = {"product_id": self.index.catalogue.ids[code], "score": score, **explained}
        if self.query.list_name == "buy_again" and is_scored and shown is not None:
            item |= self._replenishment(shown, position)
        return item

    def _replenishment(self, shown: ShownCandidates, position: int) -> dict[str, str]:
        """Return when a product is due, and when a purchase is expected unless it lapsed."""
        status, i = shown.replenishment, shown.index[position]
        state = str(status.states[i])
        if state == LAPSED:
            return {"due": state}
        day = self.day + round(float(status.days_left[i]))
        return {"due": state, "expected_on": to_date(day).isoformat()}
