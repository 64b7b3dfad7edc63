"""The kinds of list that a customer can be shown, and what may be wished of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from features.calendar import to_date, to_day
from features.errors import InvalidInput
from serving.recommender.rerank import Filters
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.inputs.promotions import AHEAD_DAYS

# By kind of list, what it is ranked by; what is popular is nobody's own.
RANKED_BY: Mapping[str, str | None] = {
    "for_you": "now",
    "this_month": "month",
    "buy_again": "now",
    "new_to_you": "explore",
    "popular": None,
}
KINDS = tuple(RANKED_BY)
LONGEST = 100


@dataclass(frozen=True)
class ListQuery:
    """What is asked for; the same for all customers of a request.

    Attributes
    ----------
    kind
        One of `KINDS`.
    k
        Products to show.
    filters
        What may be shown, and where.
    variety, same_kind_in_a_row
        As `Layout` has them.
    pinned, boosts
        Products that get a place, by place from 1; factors on scores. By product id.
    basket_product_ids
        What is in the basket now: not shown again, and what goes with it comes forward.
    bought
        What was bought since the version's instant, and when.
    at
        When the list is shown.
    """

    kind: str = "for_you"
    k: int = 10
    filters: Filters = field(default_factory=Filters)
    variety: float = 0.0
    same_kind_in_a_row: bool = False
    pinned: Mapping[int, str] = field(default_factory=dict)
    boosts: Mapping[str, float] = field(default_factory=dict)
    basket_product_ids: Sequence[str] = ()
    bought: Mapping[str, datetime] = field(default_factory=dict)
    at: datetime | None = None

    def check(self, shelf: RecommenderIndex) -> None:
        """Refuse what cannot be answered.

        Raises
        ------
        InvalidInput
            Naming the field.
        """
        if self.kind not in KINDS:
            raise InvalidInput(
                f"kind = {self.kind!r} is no kind of list; ask for one of {', '.join(KINDS)}.",
                field="kind",
            )
        if not 1 <= self.k <= LONGEST:
            raise InvalidInput(
                f"k = {self.k} cannot be answered: lists hold 1 to {LONGEST} products; "
                f"ask for k from 1 to {LONGEST}.",
                field="k",
            )
        if not 0 <= self.variety <= 1:
            raise InvalidInput(
                f"variety = {self.variety} is out of range; give 0 (the best scores) to 1 "
                "(as unlike each other as can be).",
                field="variety",
            )
        if self.at is not None and not 0 <= to_day(self.at) - shelf.day < AHEAD_DAYS:
            last = to_date(shelf.day + AHEAD_DAYS - 1)
            raise InvalidInput(
                f"at = {self.at.isoformat()} cannot be answered: what is published looks from "
                f"{to_date(shelf.day)} to {last}.",
                field="at",
            )
        shown = shelf.day + AHEAD_DAYS - 1 if self.at is None else to_day(self.at)
        for product, when in self.bought.items():
            if to_day(when) > shown:
                field = f"bought.{product[:60]}"
                raise InvalidInput(
                    f"{field} = {when.isoformat()} lies after {to_date(shown)}, the day that the "
                    "list is for; give the day of the purchase, or a later `at`.",
                    field=field,
                )
