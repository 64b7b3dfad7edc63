"""The canonical tables: every column, its type, unit and meaning, and what is required.

Sources write frames of this shape, `quality` checks them, builders read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
        What it says, with its unit.
    required
        Whether a row without it is quarantined.
    minimum
        The lowest value that can be true, if there is one.
    """

    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    required: bool = False
    minimum: float | None = None


@dataclass(frozen=True)
class Table:
    """A canonical table: its key, by which an import is idempotent, and its columns.

    Columns beyond those named here are kept as attributes where `open_ended`.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    open_ended: bool = False

    @property
    def required(self) -> list[str]:
        """The columns without which a row cannot be used."""
        return [name for name, column in self.columns.items() if column.required]


_PRODUCT = Column(ID, "what was sold", required=True)
_LOCATION = Column(ID, "where; null means every location")


def _links(name: str, column: str, meaning: str) -> Table:
    """Define a table of links: by what values, seen in which source, ids are one."""
    return Table(
        name,
        (column, "kind", "value", "source"),
        {
            column: Column(ID, meaning, required=True),
            "kind": Column(ID, "what was seen with it: loyalty number, e-mail, ...", required=True),
            "value": Column(ID, "its value; equal values, equal persons or things", required=True),
            "source": Column(ID, "where both were seen together", required=True),
            "since": Column(pl.Int32, "which import brought the link first", required=True),
            "most": Column(pl.Int32, "how many ids may be one", required=True),
            "undone": Column(
                pl.Boolean,
                "null for a link; in a rule, whether what it names is out of force",
            ),
        },
        open_ended=True,
    )


_DAY = Column(DAY, "days since 1970-01-01", required=True, minimum=7305)  # 1990-01-01

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "orders",
            ("order_id", "line"),
            {
                "customer_id": Column(ID, "who bought; null for anonymous"),
                "order_id": Column(ID, "the order that the line belongs to", required=True),
                "line": Column(pl.Int32, "the line's number within its order", required=True),
                "product_id": Column(ID, "what was bought; null for what is no unit of a product"),
                "location_id": Column(ID, "where"),
                "channel": Column(ID, "through which channel: shop, web, app, social, live"),
                "ts": Column(TS, "when, in the retailer's local time", required=True),
                "day": _DAY,
                "quantity": Column(pl.Float64, "units; negative in returns", required=True),
                "revenue": Column(MONEY, "paid, net of discounts"),
                "discount": Column(MONEY, "given off the shelf price", minimum=0),
                "kind": Column(ID, "sale or return", required=True),
            },
        ),
        Table(
            "sales",
            ("product_id", "location_id", "day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "day": _DAY,
                "quantity": Column(pl.Float64, "units sold", required=True, minimum=0),
                "price": Column(MONEY, "unit price", minimum=0),
                "on_sale": Column(pl.Boolean, "whether the price was reduced"),
            },
        ),
        Table(
            "products",
            ("product_id",),
            {
                "product_id": _PRODUCT,
                "name": Column(ID, "what a person calls it"),
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
            {"customer_id": Column(ID, "who", required=True)},
            open_ended=True,
        ),
        Table(
            "locations",
            ("location_id",),
            {
                "location_id": Column(ID, "where", required=True),
                "channel": Column(ID, "shop, web, app, social, live"),
                "region": Column(ID, "a group of locations"),
            },
            open_ended=True,
        ),
        Table(
            "prices",
            ("product_id", "location_id", "from_day"),
            {
                "product_id": _PRODUCT,
                "location_id": _LOCATION,
                "from_day": Column(DAY, "first day of the price", required=True),
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
                "placement": Column(ID, "where in shop or leaflet: front page, end of aisle, ..."),
                "from_day": Column(DAY, "first day", required=True),
                "to_day": Column(DAY, "the day after the last", required=True),
                "depth": Column(pl.Float64, "share of the price taken off, 0 to 1", minimum=0),
            },
        ),
        Table(
            "touchpoints",
            ("customer_id", "ts", "campaign_id", "kind"),
            {
                "customer_id": Column(ID, "who was reached", required=True),
                "ts": Column(TS, "when, local time", required=True),
                "day": _DAY,
                "campaign_id": Column(ID, "which campaign", required=True),
                "kind": Column(ID, "sent, seen, clicked, visited, redeemed", required=True),
                "channel": Column(ID, "mail, e-mail, app, social"),
                "cost": Column(MONEY, "what it cost the retailer", minimum=0),
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
                "known_ahead": Column(pl.Boolean, "whether the future is known", required=True),
            },
        ),
        _links("customer_links", "customer_id", "an id of a customer"),
        _links("product_links", "product_id", "an id of a product"),
    )
}
