"""Explain the products of a list: collect facts about each and put them into words.

A customer's scored candidates in; a reason code and sentences by product out.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from features.typing import Int32s, Ints
from serving.recommender.phrases import CURRENT_GAPS, REGULAR_BASKETS, Facts, sentences
from training.models.recommender.index.association import BasketPartners
from training.models.recommender.index.candidate_scoring import Candidates, group_contributions
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.index.replenishment import DUE, ReplenishmentStatus
from training.models.recommender.ranking.attribution import EXPLAINED_GROUPS

# Least share of the week, or of the customer's locations, with a promotion that is mentioned.
LEAST_PROMOTED_SHARE = 0.5
THIS_WEEK = "_this_week"
# Least contribution of a mentioned reason group, relative to the largest.
LEAST_CONTRIBUTION = 0.1
NEW_DAYS = 28


@dataclass(frozen=True)
class ShownCandidates:
    """Candidates on a list, with what explains them.

    Attributes
    ----------
    candidates
        All candidates of the customer.
    index
        By position among the candidates, the index in `groups` and `replenishment`.
    groups
        Reason groups that raise each score, in descending order.
    replenishment
        State of each candidate; meaningful for products bought before.
    """

    candidates: Candidates
    index: dict[int, int]
    groups: list[tuple[str, ...]]
    replenishment: ReplenishmentStatus


@dataclass(frozen=True)
class PurchasedProducts:
    """Products that a customer bought before.

    Attributes
    ----------
    codes, regular
        Product codes, and those of them that are bought regularly, to this day.
    categories
        Category code of each product.
    """

    codes: Set[int] = frozenset()
    regular: Set[int] = frozenset()
    categories: Sequence[int] = ()


class Explainer:
    """Explains products for one basket and location.

    Parameters
    ----------
    partners
        Products associated with the basket.
    location
        Position of the location in `PopularProducts`; -1 for the chain.
    location_id
        Location of the request, if any.
    """

    def __init__(
        self,
        index: RecommenderIndex,
        partners: BasketPartners,
        location: int,
        location_id: str | None,
    ) -> None:
        self.index = index
        self.at_location = location >= 0
        codes, shares = index.popular.most_popular(location)
        self.recently_sold = set(codes.tolist())
        self.popular = set(codes[shares >= index.popular.mean_share].tolist())
        strongest = zip(partners.codes.tolist(), partners.strongest.tolist(), strict=True)
        self.basket_partner = dict(strongest)
        kinds = index.candidates.plan.kinds
        code = -1 if location_id is None else index.candidates.location_codes.get(location_id, -1)
        # Kinds of promotion that are planned for the location itself, not for the chain.
        self.planned = {
            kind for kind, periods in kinds.items() if code >= 0 and periods.planned[code]
        }
        self.promotion_features = [(kind, f"{kind}{THIS_WEEK}") for kind in kinds]
        self._by_reason: dict[str, list[str]] = {}

    def purchased(self, candidates: Candidates | None) -> PurchasedProducts:
        """Return the products that a customer bought before."""
        if candidates is None:
            return PurchasedProducts()
        bought = candidates.bought_before
        codes = self.index.code_of_row[candidates.products[bought]]
        state = {
            name: candidates.features[name][bought]
            for name in ("baskets", "recency_days", "gap_mean")
        }
        is_current = state["recency_days"] <= CURRENT_GAPS * state["gap_mean"]
        regular = (state["baskets"] >= REGULAR_BASKETS) & is_current
        categories = self.index.catalogue.categories[codes]
        return PurchasedProducts(
            set(codes.tolist()), set(codes[regular].tolist()), categories.tolist()
        )

    def groups(
        self, shown: Sequence[tuple[Candidates, Ints]], score_name: str
    ) -> list[list[tuple[str, ...]]]:
        """Return the reason groups that raise scores, in descending order of contribution.

        Parameters
        ----------
        shown
            Candidates of customers, and positions among them.
        score_name
            Score that orders the list: `now`, `month` or `explore`.

        Returns
        -------
        list
            By customer, one tuple a position.
        """
        contributions = group_contributions(self.index.candidates, shown, score_name)
        order = np.argsort(-contributions, axis=1, kind="stable")
        falling = np.take_along_axis(contributions, order, axis=1)
        least = np.maximum(LEAST_CONTRIBUTION * falling[:, :1], 0.0)
        counts = (falling > least).sum(axis=1)
        groups = (
            tuple(EXPLAINED_GROUPS[group] for group in row[:count])
            for row, count in zip(order.tolist(), counts.tolist(), strict=True)
        )
        return [list(islice(groups, len(positions))) for _, positions in shown]

    def shown(
        self, candidates: Candidates, positions: Ints, groups: list[tuple[str, ...]]
    ) -> ShownCandidates:
        """Collect what explains some candidates.

        Parameters
        ----------
        positions
            Positions among the candidates.
        groups
            Reason groups of each.
        """
        state = candidates.features
        # Products that were never bought get placeholders; their state is not used.
        times = np.fmax(state["baskets"][positions], 1)
        elapsed = np.fmax(state["recency_days"][positions], 0)
        codes = self.index.code_of_row[candidates.products[positions]]
        status = self.index.replenishment.status(
            times,
            elapsed,
            state["gap_mean"][positions],
            self.index.catalogue.gap[codes],
            self.index.due_days,
        )
        index = {position: i for i, position in enumerate(positions.tolist())}
        return ShownCandidates(candidates, index, groups, status)

    def explain(
        self,
        code: int,
        reason: str,
        shown: ShownCandidates | None,
        position: int,
        purchased: PurchasedProducts,
    ) -> dict[str, Any]:
        """Return `reason`, a code, `explanations`, sentences, and the product's name if it has one.

        Parameters
        ----------
        reason
            Reason of a product that is not among the candidates.
        shown, position
            Candidates on the list, if the product is one, and its position among all candidates.
        """
        name = self.index.catalogue.names[code]
        named = {"name": name} if name else {}
        if shown is None and not purchased.codes and code not in self.basket_partner:
            return {"reason": reason, "explanations": self._by_reason_alone(reason), **named}
        known: dict[str, Any] = {}
        if shown is not None:
            candidates = shown.candidates
            reason = candidates.reason(position)
            known = self._candidate_facts(shown, position)
        is_new_to_customer = not known.get("times", 0)
        if is_new_to_customer and purchased.codes:
            known |= self._purchase_facts(code, purchased)
        is_popular = code in (self.recently_sold if reason == "popular" else self.popular)
        facts = Facts(
            reason,
            popular=is_popular,
            basket=self._name(self.basket_partner.get(code)),
            at_location=self.at_location,
            **known,
        )
        if facts.basket is not None and is_new_to_customer:
            reason = "basket"
        return {"reason": reason, "explanations": sentences(facts), **named}

    def _by_reason_alone(self, reason: str) -> list[str]:
        """Return sentences for products of which only the reason is known; they are reused."""
        if reason not in self._by_reason:
            facts = Facts(reason, popular=reason == "popular", at_location=self.at_location)
            self._by_reason[reason] = sentences(facts)
        return self._by_reason[reason]

    def _candidate_facts(self, shown: ShownCandidates, position: int) -> dict[str, Any]:
        candidates, i = shown.candidates, shown.index[position]
        promotions = tuple(
            kind
            for kind, name in self.promotion_features
            if name in candidates.features
            and candidates.features[name][position] >= LEAST_PROMOTED_SHARE
        )
        facts: dict[str, Any] = {
            "groups": shown.groups[i],
            "new": bool(self.index.first_days[candidates.products[position]] <= NEW_DAYS),
            "promotions": promotions,
            "promoted_at_location": bool(promotions) and promotions[0] in self.planned,
        }
        if candidates.bought_before[position]:
            state = candidates.features
            facts["times"] = max(int(_or_zero(state["baskets"][position])), 1)
            facts["gap_days"] = _or_zero(state["gap_mean"][position])
            facts["age_days"] = int(_or_zero(state["recency_days"][position]))
            facts["due"] = bool(shown.replenishment.states[i] == DUE)
        return facts

    def _purchase_facts(self, code: int, purchased: PurchasedProducts) -> dict[str, Any]:
        """Relate a product that is new to the customer to the products bought before."""
        index = self.index
        partners = index.association.partner[index.association.span(code)]
        partner = _first_in(partners, purchased.codes)
        neighbour = None
        if partner is None:
            neighbour = _first_in(index.similar.neighbours(code)[0], purchased.codes)
        category = int(index.catalogue.categories[code])
        is_bought_often = category >= 0 and purchased.categories.count(category) > 1
        return {
            "partner": self._name(partner),
            "neighbour": self._name(neighbour),
            "category": index.catalogue.category_names[code] if is_bought_often else None,
            "is_regular": partner in purchased.regular or neighbour in purchased.regular,
        }

    def _name(self, code: int | None) -> str | None:
        if code is None:
            return None
        return self.index.catalogue.names[code] or self.index.catalogue.ids[code]


def _or_zero(value: np.float32) -> float:
    """Return a float, zero for NaN."""
    return 0.0 if value != value else float(value)


def _first_in(codes: Int32s, members: Set[int]) -> int | None:
    """Return the first of the codes that is a member."""
    return next((code for code in codes.tolist() if code in members), None)
