"""Keys of a mapping file, as pydantic models; examples/mapping.toml explains each of them."""

from datetime import date, datetime
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from features.ingest.mapping.position import MappingText
from features.ingest.sources.numbers import PARENTHESES, TRAILING, Notation
from features.tables import Column

# Columns of the mapping beyond the canonical ones, by table, with the column computed from them.
COMPUTED = {
    "orders": {"unit_price": "revenue is quantity x unit_price"},
    "promotions": {"last_day": "to_day is the day after it"},
}
Scalar = str | bool | int | float | datetime | date


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Returns(_Strict):
    """Condition for returns, in addition to negative quantities."""

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
    """Condition on a column: one of some values, a prefix, below or above a number."""

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
    """Condition for rows to exclude, and the reason."""

    reason: str


class TableSource(_Strict):
    """One source of one canonical table.

    Attributes
    ----------
    path
        Glob of CSV (also .gz), Parquet or Excel files, relative to the mapping's folder.
    url, query
        SQLAlchemy URL of a database, and the query; `${NAME}` is an environment variable.
    columns
        Name in the source by canonical name.
    constants
        Value by canonical name, for columns that the source lacks.
    returns, drop, no_product, no_customer
        Conditions for rows that are returns, are excluded, are payments without units of a
        product, or are of an account that is no customer.
    order_level
        Columns of the source that hold a value on one line of an order for all of its lines.
    kinds
        Words of the source by kind of order line or touchpoint, besides the usual ones.
    delimiter, encoding
        Of CSV files; detected by default. The delimiter `whitespace` is any number of blanks
        and tabs.
    header
        Column names of a file whose first line is a record.
    skip_rows
        Number of lines above the header; found by default.
    decimal, thousands
        The decimal mark, decided for each column by default, and the separator of thousands:
        any usual one by default, empty for none.
    negative
        How negative numbers are written besides a leading minus: `trailing`, `parentheses`, or a
        marker such as CR.
    date_format
        Such as %d/%m/%Y %H:%M; ISO by default. %s counts from 1970; %G-W%V is a week, %Y-%m
        a month; `spreadsheet` is a spreadsheet's number of a day.
    first_week
        First day of week 1, for weeks that are numbered continuously.
    time_zone
        Time zone of the source's timestamps; `local_time_zone` by default.
    cap_quantity
        Larger quantities are no counts of units and are replaced by it.
    max_quantity, max_price
        Rows with a larger quantity or price (revenue per unit) are rejected as errors.
    """

    path: str | None = None
    url: str | None = Field(None, repr=False)
    query: str | None = None
    columns: dict[str, str]
    constants: dict[str, Scalar] = {}
    returns: Returns | None = None
    drop: list[Drop] = []
    no_product: list[Where] = []
    no_customer: list[Where] = []
    order_level: list[str] = []
    kinds: dict[str, list[str | int]] = {}
    delimiter: str | None = Field(None, pattern=r"^(.|\t|whitespace)$")
    encoding: str | None = None
    header: list[str] | None = Field(None, min_length=1)
    skip_rows: int | None = Field(None, ge=0)
    decimal: str | None = Field(None, pattern=r"^[.,]$")
    thousands: str | None = Field(None, pattern=r"^[., '_\u2019\u00a0\u202f]?$")
    negative: list[str] = [TRAILING, PARENTHESES]
    date_format: str | None = Field(None, pattern="%|^spreadsheet$")
    first_week: date | None = None
    time_zone: str | None = None
    cap_quantity: float | None = Field(None, gt=0)
    # Far above any order line, in units and in currencies of small value.
    max_quantity: float = Field(1e6, gt=0)
    max_price: float = Field(1e9, gt=0)

    # Position of the section among those of the table; several sources may share one.
    _section: int | None = PrivateAttr(None)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError:
            raise ValueError("not an encoding; use for example utf-8, cp1252, latin-1") from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return _zone(value)

    @field_validator("negative", mode="before")
    @classmethod
    def _several_notations(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _different_marks(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same mark")
        return self

    @property
    def stated_decimal(self) -> str | None:
        """The decimal mark that the mapping states, directly or by the separator of thousands."""
        other = {",": ".", ".": ","}
        return self.decimal or other.get(self.thousands or "")

    def notation(self, decimal: str) -> Notation:
        """Return how numbers with a decimal mark are written."""
        return Notation(decimal, self.thousands, tuple(self.negative))

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path, or url and query")
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        return self

    def words(self, column: Column) -> dict[str, str]:
        """Return the values of a column with a controlled vocabulary by their words."""
        usual = {word: value for value, words in column.words.items() for word in words}
        stated = {
            str(word).strip().lower(): value
            for value, words in self.kinds.items()
            for word in words
        }
        return usual | stated

    def in_section(self, number: int) -> Self:
        """Return the source as one of those that a section of the mapping describes."""
        source = self.model_copy()
        source._section = number
        return source

    def section(self, number: int) -> int:
        """Return the position of the source's section, given that of the source."""
        return number if self._section is None else self._section

    @property
    def source_columns(self) -> list[str]:
        """Names in the source that the mapping uses, each once."""
        conditions = (*self.drop, *self.no_product, *self.no_customer)
        names = [*self.columns.values(), *(condition.column for condition in conditions)]
        if self.returns is not None:
            names.append(self.returns.column)
        names += self.order_level
        return list(dict.fromkeys(names))


class Identity(_Strict):
    """Columns that identify several ids as the same customer or product.

    Attributes
    ----------
    customer_id, product_id
        Names of such columns, in any table that has the id.
    most
        Maximum number of ids of one customer or product; larger groups are treated as errors
        and not joined.
    """

    customer_id: list[str] = []
    product_id: list[str] = []
    most: int = Field(20, ge=2)


class Mapping(_Strict):
    """A checked mapping file: the dataset's name and its tables' sources.

    Attributes
    ----------
    folder
        Base of relative paths.
    local_time_zone
        The retailer's time zone.
    pseudonymise
        Whether customer ids are replaced by keyed hashes.
    identity
        Identifying columns; `tables` contains the links that follow from them.
    tables
        Sources by canonical table.
    text
        The mapping file, for positions in error messages.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$")
    folder: Path
    local_time_zone: str | None = None
    pseudonymise: bool = False
    identity: Identity | None = None
    tables: dict[str, list[TableSource]]
    text: MappingText

    @field_validator("local_time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return _zone(value)


def _zone(value: str | None) -> str | None:
    if value is not None:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone; use for example Europe/Berlin or UTC") from None
    return value
