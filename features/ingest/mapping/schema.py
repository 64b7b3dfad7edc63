"""What a mapping file may say: how a retailer's own records become canonical tables.

`mapping_file` reads one, `features.ingest.sources.mapped` reads records by it. Every key is
explained in examples/mapping.toml.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.ingest.mapping.position import Place

# Columns of the mapping beyond the canonical ones, by table, with what is made of them.
COMPUTED = {
    "orders": {"unit_price": "revenue is quantity x unit_price"},
    "promotions": {"last_day": "to_day is the day after it"},
}
Scalar = str | bool | int | float | datetime | date


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Returns(_Strict):
    """Which rows are returns, besides those with a negative quantity."""

    column: str
    starts_with: str | None = None
    ends_with: str | None = None
    equals: str | int | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if sum(x is not None for x in (self.starts_with, self.ends_with, self.equals)) != 1:
            raise ValueError("give exactly one of starts_with, ends_with, equals")
        return self


class Where(_Strict):
    """Which rows: those whose column is one of these, begins so, lies below or above."""

    column: str
    values: list[str | int | float] | None = Field(None, alias="in")
    starts_with: str | None = None
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        conditions = (self.values, self.starts_with, self.below, self.above)
        if sum(x is not None for x in conditions) != 1:
            raise ValueError("give exactly one of in, starts_with, below, above")
        return self


class Drop(Where):
    """Which rows are kept out, and why."""

    reason: str


class TableSource(_Strict):
    """One place that rows of one canonical table come from.

    Attributes
    ----------
    path
        Glob of csv (also .gz), parquet or xlsx files, relative to the mapping's folder.
    url, query
        SQLAlchemy URL of a database, and what to ask it; `${NAME}` is taken from the
        environment.
    columns
        Name in the source by canonical name.
    constants
        Value by canonical name, for what the source does not say because it is always so.
    returns, drop, no_product
        Which rows are returns; which are kept out; which are paid for but no units of a product.
    delimiter, encoding
        Of csv files; found out where they are not given. The delimiter `whitespace` is any
        number of blanks and tabs.
    header
        Names of a csv file's columns, where its first line does not hold them.
    decimal
        The decimal mark.
    date_format
        Such as %d/%m/%Y %H:%M; ISO by default. %s counts from 1970; %G-W%V is a week, %Y-%m
        a month.
    first_week
        The first day of week 1, where weeks are numbered on and on.
    time_zone
        In which the source states instants; `local_time_zone` by default.
    cap_quantity
        Quantities above it are no counts of units and are counted as it.
    max_quantity, max_price
        Rows with a quantity or a price (revenue a unit) beyond these are mistakes.
    """

    path: str | None = None
    url: str | None = Field(None, repr=False)
    query: str | None = None
    columns: dict[str, str]
    constants: dict[str, Scalar] = {}
    returns: Returns | None = None
    drop: list[Drop] = []
    no_product: list[Where] = []
    delimiter: str | None = Field(None, pattern=r"^(.|\t|whitespace)$")
    encoding: str | None = None
    header: list[str] | None = Field(None, min_length=1)
    decimal: str = Field(".", pattern=r"^[.,]$")
    date_format: str | None = Field(None, pattern="%")
    first_week: date | None = None
    time_zone: str | None = None
    cap_quantity: float | None = Field(None, gt=0)
    # Far above what a line of any shop holds, in units and in the smallest of currencies.
    max_quantity: float = Field(1e6, gt=0)
    max_price: float = Field(1e9, gt=0)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError:
            raise ValueError("it is no encoding; write such as utf-8, cp1252, latin-1") from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return _zone(value)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path, or url and query")
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        return self

    @property
    def source_columns(self) -> list[str]:
        """Names in the source that the mapping speaks of, each once."""
        named = [*self.columns.values(), *(rule.column for rule in (*self.drop, *self.no_product))]
        if self.returns is not None:
            named.append(self.returns.column)
        return list(dict.fromkeys(named))


class Identity(_Strict):
    """By which columns ids are found to be the same person's, or the same product's.

    Attributes
    ----------
    customer_id, product_id
        Names that sources give to such columns, in any table that has the id.
    most
        How many ids may be one; more are taken for a mistake and not joined.
    """

    customer_id: list[str] = []
    product_id: list[str] = []
    most: int = Field(20, ge=2)


class Mapping(_Strict):
    """A checked mapping file: the dataset's name and its tables' sources.

    Attributes
    ----------
    pseudonymise
        Whether keyed hashes take the place of customers' ids.
    identity
        What tells that ids are the same one's; `tables` has the links that it asks for.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$")
    folder: Path
    local_time_zone: str | None = None
    pseudonymise: bool = False
    identity: Identity | None = None
    tables: dict[str, list[TableSource]]
    at: Place

    @field_validator("local_time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return _zone(value)


def _zone(value: str | None) -> str | None:
    if value is not None:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("it is no time zone; write such as Europe/Berlin or UTC") from None
    return value
