"""Canonical tables: every column with its type, unit, meaning and valid values.

Sources return frames of these tables, imports validate and store them, feature builders read them.
Plans and requests take their limits from here as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

ID = pl.String
MONEY = pl.Float64
DAY = pl.Int32
TS = pl.Datetime("us")


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    Attributes
    ----------
    dtype
        The Polars type in which it is stored.
    meaning
        Description, with the unit.
    required
        Whether rows without a value are quarantined.
    minimum, maximum
        The least and the greatest valid value, if there is one.
    words
        For a column with a controlled vocabulary: each valid value, with the words that an
        import reads as this value, in any case.
    """

    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def limits(self) -> str:
        """Return the valid values as text."""
        if self.words:
            return ", ".join(self.words)
        end = "on" if self.maximum is None else f"to {self.maximum:g}"
        return f"from {self.minimum:g} {end}"


@dataclass(frozen=True)
class Table:
    """A canonical table: its columns, and the key that makes imports idempotent.

    An `open_ended` table keeps further columns as attributes. In an `additive` one, rows of a file
    with the same key add up.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    open_ended: bool = False
    additive: bool = False

    @property
    def required(self) -> list[str]:
        """Names of the required columns."""
        return [name for name, column in self.columns.items() if column.required]


_PRODUCT = Column(ID, "the product", required=True)
_LOCATION = Column(ID, "the location; null means every location")


def _links(name: str, column: str, meaning: str) -> Table:
    """Define a table of links: ids with a common value are one customer or product."""
    return Table(
        name,
        (column, "kind", "value", "source"),
        {
            column: Column(ID, meaning, required=True),
            "kind": Column(ID, "kind of value: loyalty number, e-mail, ...", required=True),
            "value": Column(ID, "the value; ids with equal values are linked", required=True),
            "source": Column(ID, "source in which id and value occur together", required=True),
            "since": Column(
                pl.Int32, "number of the import that first had the link", required=True
            ),
            "most": Column(pl.Int32, "largest number of ids that may be linked", required=True),
            "undone": Column(
                pl.Boolean,
                "null for a link; in a rule, whether the matching links are undone",
            ),
        },
        open_ended=True,
    )


FIRST_DAY = 7305  # 1990-01-01
_DAY = Column(DAY, "days since 1970-01-01", required=True, minimum=FIRST_DAY)
_LINE_KINDS = {
    "sale": ("sale", "sales", "sold"),
    "return": ("return", "returns", "returned", "refund", "refunds", "refunded"),
}
_TOUCHPOINT_KINDS = {
    "sent": ("sent", "send"),
    "seen": ("seen", "open", "opened", "view", "viewed"),
    "clicked": ("clicked", "click"),
    "visited": ("visited", "visit"),
    "redeemed": ("redeemed", "redeem"),
}

# Tables of past events; the others may contain plans.
PAST_TABLES = ("orders", "sales", "touchpoints", "stock")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "orders",
            ("order_id", "line"),
            {
                "customer_id": Column(ID, "the customer; null if anonymous"),
                "order_id": Column(ID, "the order of the line", required=True),
                "line": Column(pl.Int32, "number of the line within its order", required=True),
                "product_id": Column(ID, "the product; null for lines without units of a product"),
                "location_id": Column(ID, "the location"),
                "channel": Column(ID, "channel, such as shop, web, app"),
                "ts": Column(TS, "instant, in the retailer's local time", required=True),
                "day": _DAY,
                "quantity": Column(pl.Float64, "units; negative in returns", required=True),
                "revenue": Column(MONEY, "paid, net of discounts"),
                "discount": Column(MONEY, "discount off the list price", minimum=0),
                "kind": Column(ID, "sale or return", required=True, words=_LINE_KINDS),
            },
        ),
        Table(
            "sales",
            ("product_id", "location_id", "day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "day": _DAY,
                "quantity": Column(pl.Float64, "units sold, net of returns", required=True),
                "price": Column(MONEY, "unit price", minimum=0),
                "on_sale": Column(pl.Boolean, "whether the price was reduced"),
            },
            additive=True,
        ),
        Table(
            "products",
            ("product_id",),
            {
                "product_id": _PRODUCT,
                "name": Column(ID, "name of the product"),
                "department": Column(ID, "first level of the assortment"),
                "category": Column(ID, "second level"),
                "subcategory": Column(ID, "third level"),
                "brand": Column(ID, "brand or brand kind"),
            },
            open_ended=True,
        ),
        Table(
            "customers",
            ("customer_id",),
            {"customer_id": Column(ID, "the customer", required=True)},
            open_ended=True,
        ),
        Table(
            "locations",
            ("location_id",),
            {
                "location_id": Column(ID, "the location", required=True),
                "channel": Column(ID, "such as shop, web, app"),
                "region": Column(ID, "a group of locations"),
                "country": Column(ID, "ISO 3166-1 code (DE), for public holidays"),
                "region_code": Column(ID, "ISO 3166-2 code (DE-BY or BY), for public holidays"),
            },
            open_ended=True,
        ),
        Table(
            "prices",
            ("product_id", "location_id", "from_day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "from_day": Column(DAY, "first day of the price", required=True, minimum=FIRST_DAY),
                "price": Column(MONEY, "unit price", required=True, minimum=0),
            },
        ),
        Table(
            "promotions",
            ("product_id", "location_id", "kind", "from_day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "kind": Column(ID, "display, mailer, discount, ...", required=True),
                "placement": Column(ID, "place in shop or leaflet: front page, end of aisle, ..."),
                "from_day": Column(DAY, "first day", required=True, minimum=FIRST_DAY),
                "to_day": Column(DAY, "the day after the last", required=True),
                "depth": Column(
                    pl.Float64, "share of the price taken off, 0 to 1", minimum=0, maximum=1
                ),
            },
        ),
        Table(
            "touchpoints",
            ("customer_id", "ts", "campaign_id", "kind"),
            {
                "customer_id": Column(ID, "the customer", required=True),
                "ts": Column(TS, "instant, in the retailer's local time", required=True),
                "day": _DAY,
                "campaign_id": Column(ID, "the campaign", required=True),
                "kind": Column(
                    ID,
                    "sent, seen, clicked, visited, redeemed",
                    required=True,
                    words=_TOUCHPOINT_KINDS,
                ),
                "channel": Column(ID, "such as mail, e-mail, app"),
                "cost": Column(MONEY, "cost to the retailer", minimum=0),
            },
        ),
        Table(
            "stock",
            ("product_id", "location_id", "day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "day": _DAY,
                "on_hand": Column(pl.Float64, "units on hand at the day's start", required=True),
            },
        ),
        Table(
            "covariates",
            ("name", "location_id", "day"),
            {
                "name": Column(ID, "weather, local events, search heat, ...", required=True),
                "location_id": _LOCATION,
                "day": _DAY,
                "value": Column(pl.Float64, "its value", required=True),
                "known_ahead": Column(pl.Boolean, "whether future values are known", required=True),
            },
        ),
        _links("customer_links", "customer_id", "an id of a customer"),
        _links("product_links", "product_id", "an id of a product"),
    )
}
