"""The mapping file: how a retailer's own records become canonical tables, written in TOML.

A file's text in, a checked Mapping out; `features.sources.mapped` reads by it. Every key is
explained in examples/mapping.toml.
"""

import os
import re
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.errors import InvalidInput
from features.tables import TABLES

# Columns of the mapping beyond the canonical ones, by table, with what is made of them.
COMPUTED = {
    "orders": {"unit_price": "revenue is quantity x unit_price"},
    "promotions": {"last_day": "to_day is the day after it"},
}
# A count of days and an instant can each be had from the other.
_EITHER = {"ts": "day", "day": "ts", "to_day": "last_day"}
# What an order line may lack, since there is a rule that makes it.
_MADE = {"orders": ("order_id", "line", "quantity", "kind")}

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


class Drop(_Strict):
    """Which rows are kept out, and why."""

    column: str
    reason: str
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
    returns, drop
        Which rows are returns; which are kept out.
    delimiter, encoding
        Of csv files; found out where they are not given.
    decimal
        The decimal mark.
    date_format
        Such as %d/%m/%Y %H:%M; ISO by default.
    time_zone
        In which the source states instants; `local_time_zone` by default.
    cap_quantity
        Quantities above it are no counts of units and are counted as it.
    """

    path: str | None = None
    url: str | None = Field(None, repr=False)
    query: str | None = None
    columns: dict[str, str]
    constants: dict[str, Scalar] = {}
    returns: Returns | None = None
    drop: list[Drop] = []
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = None
    decimal: str = Field(".", pattern=r"^[.,]$")
    date_format: str | None = Field(None, pattern="%")
    time_zone: str | None = None
    cap_quantity: float | None = Field(None, gt=0)

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
        named = [*self.columns.values(), *(rule.column for rule in self.drop)]
        if self.returns is not None:
            named.append(self.returns.column)
        return list(dict.fromkeys(named))


class Mapping(_Strict):
    """A checked mapping file: the dataset's name and its tables' sources."""

    name: str = Field(pattern=r"^[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$")
    folder: Path
    local_time_zone: str | None = None
    tables: dict[str, list[TableSource]]

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


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Raises
    ------
    InvalidInput
        Naming the file, the line, the table, the key, the value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="source") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not TOML: {error}.", field="source") from error
    at = _Place(path, text)
    tables: dict[str, list[TableSource]] = {}
    top = ("name", "folder", "local_time_zone")
    for key, value in raw.items():
        if key in TABLES:
            parts = value if isinstance(value, list) else [value]
            tables[key] = [_source(at, key, n, part) for n, part in enumerate(parts)]
        elif key not in top:
            raise at.error(f"there is no key {key!r}; use {', '.join((*top, *TABLES))}", None, key)
    if not {"orders", "sales"} & set(tables):
        raise at.error("it names neither orders nor sales; one of these tables is needed")
    head = {key: raw[key] for key in top if key in raw}
    folder = path.resolve().parent / str(head.pop("folder", "."))
    try:
        mapping = Mapping(folder=folder, tables=tables, **head)
    except ValidationError as error:
        raise at.invalid(error, None) from None
    for table, sources in tables.items():
        for number, source in enumerate(sources):
            if source.time_zone and not mapping.local_time_zone:
                raise at.error(
                    f"[{table}] time_zone = {source.time_zone!r} needs local_time_zone, the "
                    "retailer's own, at the top of the file",
                    table,
                    "time_zone",
                    number,
                )
    return mapping


def stored_copy(path: Path, mapping: Mapping) -> str:
    """Return the mapping file's text with its folder written out, to be read from elsewhere."""
    text = path.read_text(encoding="utf-8")
    head = re.search(r"^\s*\[", text, re.MULTILINE)
    cut = head.start() if head else len(text)
    kept = re.sub(r"^[ \t]*folder[ \t]*=.*\n", "", text[:cut], flags=re.MULTILINE)
    folder = str(mapping.folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'folder = "{folder}"\n{kept}{text[cut:]}'


def expand(text: str) -> str:
    """Put the environment's values where the text says `${NAME}`.

    Raises
    ------
    InvalidInput
        Naming the variable that is not set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise InvalidInput(f"The environment does not set {found[1]}.", field="url")
        return os.environ[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


class _Place:
    """Where in the mapping file something stands, so that errors can say it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def line(self, table: str | None, key: str, number: int) -> int | None:
        """Find the line that says `key`, in the table's given occurrence."""
        inside, seen = table is None, -1
        header = re.compile(r"^\s*\[\[?\s*([\w.-]+)\s*\]\]?")
        for count, line in enumerate(self.lines, 1):
            found = header.match(line)
            if found:
                name = found[1].split(".")[0]
                seen += name == table and found[1] == name
                inside = table is None or (name == table and seen == number)
            said = line.split("#")[0]
            if inside and re.search(rf'(^|[\s{{,"\[.]){re.escape(key)}["\]]*\s*(=|\]|$)', said):
                return count
        return None

    def error(
        self, problem: str, table: str | None = None, key: str = "", number: int = 0
    ) -> InvalidInput:
        line = self.line(table, key, number) if key else None
        where = f"{self.path}, line {line}" if line else str(self.path)
        field = ".".join(part for part in (table, key) if part)
        return InvalidInput(f"{where}: {problem}.", field=field or "source")

    def invalid(self, error: ValidationError, table: str | None, number: int = 0) -> InvalidInput:
        first = error.errors(include_url=False)[0]
        # Numbers and the names of a union's branches say nothing to the reader.
        keys = [str(part) for part in first["loc"] if isinstance(part, str) and part.islower()]
        key = keys[-1] if keys else ""
        section = f"[{table}] " if table else ""
        if first["type"] == "extra_forbidden":
            models: dict[str, type[BaseModel]] = {"returns": Returns, "drop": Drop}
            model = models.get(keys[0], TableSource)
            allowed = [item.alias or name for name, item in model.model_fields.items()]
            problem = f"there is no key {key!r}; use {', '.join(allowed)}"
        elif first["type"] == "missing":
            return self.error(f"{section}{'.'.join(keys)} is missing", table, keys[0], number)
        else:
            message = first["msg"].removeprefix("Value error, ")
            value = first["input"]
            # A url may hold a password.
            shown = isinstance(value, str | int | float) and key != "url"
            problem = f"{'.'.join(keys)} = {value!r}: {message}" if shown else message
        return self.error(section + problem, table, key, number)


def _source(at: _Place, table: str, number: int, raw: Any) -> TableSource:
    """Check one source of one table: its keys, then its columns against the canonical table."""
    try:
        source = TableSource.model_validate(raw)
    except ValidationError as error:
        raise at.invalid(error, table, number) from None
    canonical = TABLES[table]
    allowed = [*canonical.columns, *COMPUTED.get(table, {})]
    given = [*source.columns, *source.constants]
    for name in given:
        if name not in allowed and not canonical.open_ended:
            raise at.error(
                f"[{table}] has no column {name!r}; use {', '.join(allowed)}", table, name, number
            )
        if name.startswith("source."):
            raise at.error(f"[{table}] column names may not begin with source.", table, name)
        if name in source.columns and name in source.constants:
            raise at.error(
                f"[{table}] {name} stands in columns and in constants", table, name, number
            )
    if "revenue" in given and "unit_price" in given:
        raise at.error(
            f"[{table}] gives revenue and unit_price; leave one out", table, "unit_price", number
        )
    for name in canonical.required:
        ways = {name, _EITHER.get(name, name)}
        if not ways & set(given) and name not in _MADE.get(table, ()):
            raise at.error(
                f"[{table}] does not say what {' or '.join(sorted(ways))} is "
                f"({canonical.columns[name].meaning}); name it in columns or constants",
                table,
                "columns",
                number,
            )
    if table != "orders" and (source.returns or source.cap_quantity):
        key = "returns" if source.returns else "cap_quantity"
        raise at.error(f"[{table}] {key} is for orders only", table, key, number)
    return source
