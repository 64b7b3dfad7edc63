"""Lists that a customer can be shown, and the options of a request for one."""

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

# The ranker's score that orders each list; popular products do not depend on the customer.
RANKED_BY: Mapping[str, str | None] = {
    "for_you": "now",
    "this_month": "month",
    "buy_again": "now",
    "new_to_you": "explore",
    "popular": None,
}
LISTS = tuple(RANKED_BY)
MAX_LENGTH = 100


@dataclass(frozen=True)
class Filters:
    """Constraints on the products of a list.

    Attributes
    ----------
    exclude_product_ids
        Products to leave out.
    only, exclude
        Names of groups by level: only products of these groups, no products of these groups.
    max_price
        Highest price; products without a known price are left out.
    location_id
        Location where products must be in stock, as far as stock is known; by default anywhere.
    """

    exclude_product_ids: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_price: float | None = None
    location_id: str | None = None

    def allowed(self, catalogue: Catalogue) -> Bools:
        """Return a mask of the products that pass the filters.

        Raises
        ------
        MissingData
            If the catalogue lacks the level or the prices that are filtered by.
        InvalidInput
            If a level does not exist.
        NotFound
            If no table names the location, although tables name others.
        """
        known = catalogue.locations
        if known and self.location_id is not None and self.location_id not in known:
            raise NotFound(
                f"location_id = {self.location_id!r} is unknown: it has no sales, and no table "
                "names it. Leave it out to use each customer's usual locations, or import a table "
                "that names it.",
                field="location_id",
            )
        mask = catalogue.in_stock.copy()
        for field_name, is_member, groups in (
            ("only", True, self.only),
            ("exclude", False, self.exclude),
        ):
            for level, names in groups.items():
                _check_level(catalogue, field_name, level)
                mask &= catalogue.in_groups(level, names) == is_member
        if self.max_price is not None:
            if np.isnan(catalogue.price).all():
                raise MissingData(
                    "max_price cannot be applied: the records hold no revenue, so no product has "
                    "a price; leave it out.",
                    field="max_price",
                )
            mask &= catalogue.price <= self.max_price
        if self.location_id is not None:
            mask[catalogue.out_of_stock(self.location_id)] = False
        mask[catalogue.codes_of(self.exclude_product_ids)] = False
        return mask


@dataclass(frozen=True)
class ListQuery:
    """Options of a list, the same for all customers of a request.

    Attributes
    ----------
    list_name
        One of `LISTS`.
    k
        Number of products.
    filters
        Constraints on products, and the location.
    diversity, allow_adjacent_category
        See `Slate`.
    pinned, boosts
        Product ids by rank from 1; factors on scores by product id.
    basket_product_ids
        Products in the basket: left out of the list, and products associated with them gain.
    viewed_product_ids
        Products that were viewed: those associated with them gain.
    recent_purchases
        Purchases since the index's `as_of`: time by product id.
    lower_recent
        Whether they lower the scores of these products until they are used up; else the ranker
        reads the customer's state after them.
    at
        Time of the list, by default the index's `as_of`.
    """

    list_name: str = "for_you"
    k: int = 10
    filters: Filters = field(default_factory=Filters)
    diversity: float = 0.0
    allow_adjacent_category: bool = False
    pinned: Mapping[int, str] = field(default_factory=dict)
    boosts: Mapping[str, float] = field(default_factory=dict)
    basket_product_ids: Sequence[str] = ()
    viewed_product_ids: Sequence[str] = ()
    recent_purchases: Mapping[str, datetime] = field(default_factory=dict)
    lower_recent: bool = True
    at: datetime | None = None

    def check(self, index: RecommenderIndex) -> None:
        """Refuse options that cannot be applied.

        Raises
        ------
        InvalidInput
            Naming the field.
        """
        if self.list_name not in LISTS:
            raise InvalidInput(
                f"list = {self.list_name!r} does not exist; use one of {', '.join(LISTS)}.",
                field="list",
            )
        if not 1 <= self.k <= MAX_LENGTH:
            raise InvalidInput(
                f"k = {self.k} is out of range: lists hold 1 to {MAX_LENGTH} products; "
                f"use k from 1 to {MAX_LENGTH}.",
                field="k",
            )
        if not 0 <= self.diversity <= 1:
            raise InvalidInput(
                f"diversity = {self.diversity} is out of range; use 0 (highest scores) to 1 "
                "(products as different from each other as possible).",
                field="diversity",
            )
        last = index.day + MAX_AHEAD_DAYS - 1
        if self.at is not None and not index.day <= to_day(self.at) <= last:
            raise InvalidInput(
                f"at = {self.at.isoformat()} is out of range: the published version covers "
                f"{to_date(index.day)} to {to_date(last)}.",
                field="at",
            )
        day = last if self.at is None else to_day(self.at)
        for product, time in self.recent_purchases.items():
            if to_day(time) > day:
                name = f"recent_purchases.{product[:60]}"
                raise InvalidInput(
                    f"{name} = {time.isoformat()} lies after {to_date(day)}, the day of the list; "
                    "give the day of the purchase, or a later `at`.",
                    field=name,
                )


def _check_level(catalogue: Catalogue, field_name: str, level: str) -> None:
    if level not in LEVELS:
        raise InvalidInput(
            f"{field_name} = {level!r} is no level of the assortment; use one of "
            f"{', '.join(LEVELS)}.",
            field=field_name,
        )
    if level not in catalogue.groups:
        raise MissingData(
            f"{field_name} = {level!r} cannot be applied: the table of products has no "
            f"{level}; it has {', '.join(catalogue.groups) or 'none of the levels'}.",
            field=field_name,
        )
