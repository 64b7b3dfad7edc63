"""The kinds of list that a customer can be shown, and what may be wished of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from features.calendar import to_date, to_day
from features.errors import InvalidInput, MissingData, NotFound
from features.typing import Bools
from training.models.recommender.index.catalogue import LEVELS, Catalogue
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.inputs.promotions import MAX_AHEAD_DAYS

# By kind of list, what it is ranked by; what is popular is nobody's own.
RANKED_BY: Mapping[str, str | None] = {
    "for_you": "now",
    "this_month": "month",
    "buy_again": "now",
    "new_to_you": "explore",
    "popular": None,
}
LISTS = tuple(RANKED_BY)
LONGEST = 100


@dataclass(frozen=True)
class Filters:
    """What may be shown at all.

    Attributes
    ----------
    exclude_product_ids
        Products that are not shown.
    only, exclude
        Names of groups by level: products of no other groups, and products of none of these.
    max_price
        Products that cost more, or of which the price is not known, are not shown.
    location_id
        Where the products have to be in stock, as far as stock is known; anywhere by default.
    """

    exclude_product_ids: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_price: float | None = None
    location_id: str | None = None

    def allowed(self, catalogue: Catalogue) -> Bools:
        """Mark the products that may be shown.

        Raises
        ------
        MissingData
            If the catalogue lacks the level or the prices that are asked about.
        InvalidInput
            If there is no such level.
        NotFound
            If no table names the location, while others are named.
        """
        known = catalogue.locations
        if known and self.location_id is not None and self.location_id not in known:
            raise NotFound(
                f"location_id = {self.location_id!r} is unknown: nothing was sold there, and no "
                "table names it. Leave it out, and each customer's usual locations count; or "
                "import a table that names it.",
                field="location_id",
            )
        marked = catalogue.anything.copy()
        for field_name, wanted, groups in (
            ("only", True, self.only),
            ("exclude", False, self.exclude),
        ):
            for level, names in groups.items():
                _check_level(catalogue, field_name, level)
                marked &= catalogue.among(level, names) == wanted
        if self.max_price is not None:
            if np.isnan(catalogue.price).all():
                raise MissingData(
                    "max_price cannot be applied: the records hold no revenue, so no product has "
                    "a price; leave it out.",
                    field="max_price",
                )
            marked &= catalogue.price <= self.max_price
        if self.location_id is not None:
            marked[catalogue.out_of_stock(self.location_id)] = False
        marked[catalogue.coded(self.exclude_product_ids)] = False
        return marked


@dataclass(frozen=True)
class ListQuery:
    """What is asked for; the same for all customers of a request.

    Attributes
    ----------
    list_name
        One of `LISTS`.
    k
        Products to show.
    filters
        What may be shown, and where.
    diversity, allow_adjacent_category
        As `Layout` has them.
    pinned, boosts
        Products that get a place, by place from 1; factors on scores. By product id.
    basket_product_ids
        What is in the basket now: not shown again, and what goes with it comes forward.
    recent_purchases
        What was bought since the version's instant, and when.
    at
        When the list is shown.
    """

    list_name: str = "for_you"
    k: int = 10
    filters: Filters = field(default_factory=Filters)
    diversity: float = 0.0
    allow_adjacent_category: bool = False
    pinned: Mapping[int, str] = field(default_factory=dict)
    boosts: Mapping[str, float] = field(default_factory=dict)
    basket_product_ids: Sequence[str] = ()
    recent_purchases: Mapping[str, datetime] = field(default_factory=dict)
    at: datetime | None = None

    def check(self, shelf: RecommenderIndex) -> None:
        """Refuse what cannot be answered.

        Raises
        ------
        InvalidInput
            Naming the field.
        """
        if self.list_name not in LISTS:
            raise InvalidInput(
                f"list = {self.list_name!r} is no list; use one of {', '.join(LISTS)}.",
                field="list",
            )
        if not 1 <= self.k <= LONGEST:
            raise InvalidInput(
                f"k = {self.k} cannot be answered: lists hold 1 to {LONGEST} products; "
                f"ask for k from 1 to {LONGEST}.",
                field="k",
            )
        if not 0 <= self.diversity <= 1:
            raise InvalidInput(
                f"diversity = {self.diversity} is out of range; give 0 (the best scores) to 1 "
                "(as unlike each other as can be).",
                field="diversity",
            )
        if self.at is not None and not 0 <= to_day(self.at) - shelf.day < MAX_AHEAD_DAYS:
            last = to_date(shelf.day + MAX_AHEAD_DAYS - 1)
            raise InvalidInput(
                f"at = {self.at.isoformat()} cannot be answered: what is published looks from "
                f"{to_date(shelf.day)} to {last}.",
                field="at",
            )
        shown = shelf.day + MAX_AHEAD_DAYS - 1 if self.at is None else to_day(self.at)
        for product, when in self.recent_purchases.items():
            if to_day(when) > shown:
                field = f"recent_purchases.{product[:60]}"
                raise InvalidInput(
                    f"{field} = {when.isoformat()} lies after {to_date(shown)}, the day that the "
                    "list is for; give the day of the purchase, or a later `at`.",
                    field=field,
                )


def _check_level(catalogue: Catalogue, field_name: str, level: str) -> None:
    if level not in LEVELS:
        raise InvalidInput(
            f"{field_name} = {level!r} is no level of the assortment; there is "
            f"{', '.join(LEVELS)}.",
            field=field_name,
        )
    if level not in catalogue.groups:
        raise MissingData(
            f"{field_name} = {level!r} cannot be applied: the catalogue of products has no "
            f"{level}; it has {', '.join(catalogue.groups) or 'none of the levels'}.",
            field=field_name,
        )
