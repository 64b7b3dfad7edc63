"""Reading of a mapping file: TOML text in, a checked `Mapping` out."""

import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from features.columns import CUSTOMER_ID, ORDER_ID, PRODUCT_ID
from features.errors import InvalidInput
from features.identity import LINK_TABLES
from features.ingest.mapping.links import add_links
from features.ingest.mapping.position import MappingText
from features.ingest.mapping.schema import (
    COMPUTED,
    Drop,
    Identity,
    Mapping,
    Returns,
    TableSource,
    Where,
)
from features.ingest.source_columns import RESERVED_PREFIXES
from features.tables import TABLES, Table

# Each of these columns can be computed from the other.
_INTERCHANGEABLE = {"ts": "day", "day": "ts", "to_day": "last_day"}
# Required columns that are derived if the source lacks them.
_DERIVED = {"orders": ("order_id", "line", "quantity", "kind")}
_HEAD_KEYS = ("name", "folder", "local_time_zone", "pseudonymise", "identity")
# Tables that a mapping may describe; link tables follow from [identity].
MAPPED_TABLES = tuple(name for name in TABLES if name not in LINK_TABLES.values())
_ORDERS_ONLY = ("returns", "cap_quantity", "no_product", "no_customer", "order_level")
# Keys that need a column of the source, and the column.
_NEEDS = {"no_product": PRODUCT_ID, "no_customer": CUSTOMER_ID, "order_level": ORDER_ID}


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Raises
    ------
    InvalidInput
        With the file, the line, the table, the key, the value and the allowed values.
    """
    try:
        content = path.read_text(encoding="utf-8")
        raw = tomllib.loads(content)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="source") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not TOML: {error}.", field="source") from error
    text = MappingText(path, content)
    tables = _read_tables(text, raw)
    head = {key: raw[key] for key in _HEAD_KEYS if key in raw}
    folder = path.resolve().parent / str(head.pop("folder", "."))
    try:
        mapping = Mapping(folder=folder, tables=tables, text=text, **head)
    except ValidationError as error:
        raise _invalid(text, error, None) from None
    for table, sources in tables.items():
        for number, source in enumerate(sources):
            if source.time_zone and not mapping.local_time_zone:
                raise text.error(
                    f"[{table}] time_zone = {source.time_zone!r} needs local_time_zone, the "
                    "retailer's own, at the top of the file",
                    table,
                    "time_zone",
                    number,
                )
            if mapping.pseudonymise:
                _check_pseudonymised(text, table, number, source)
    return mapping


def _read_tables(text: MappingText, raw: dict[str, Any]) -> dict[str, list[TableSource]]:
    """Return the checked sources of all tables, links included."""
    try:
        identity = Identity.model_validate(raw.get("identity", {}))
    except ValidationError as error:
        raise _invalid(text, error, "identity") from None
    tables: dict[str, list[TableSource]] = {}
    for key, value in raw.items():
        if key in MAPPED_TABLES:
            sections = value if isinstance(value, list) else [value]
            tables[key] = [
                read_source(text, key, number, narrow, identity).in_section(number)
                for number, section in enumerate(sections)
                for narrow in _narrow_sections(key, section)
            ]
        elif key not in _HEAD_KEYS:
            allowed = ", ".join((*_HEAD_KEYS, *MAPPED_TABLES))
            raise text.error(f"there is no key {key!r}; use {allowed}", None, key)
    if "identity" in raw:
        tables = add_links(text, tables, identity)
    if not {"orders", "sales"} & set(tables):
        raise text.error("it names neither orders nor sales; one of these tables is needed")
    return tables


def _narrow_sections(table: str, section: Any) -> list[Any]:
    """Return a section of covariates for each of several columns of values; others as they are."""
    columns = section.get("columns") if isinstance(section, dict) else None
    if table != "covariates" or not isinstance(columns, dict):
        return [section]
    values = columns.get("value")
    if not isinstance(values, list):
        return [section]
    constants = section.get("constants", {})
    return [
        {
            **section,
            "columns": {**columns, "value": value},
            "constants": {"name": value, **constants},
        }
        for value in values
    ]


def expand_environment(text: str) -> str:
    """Replace every `${NAME}` by the value of the environment variable.

    Raises
    ------
    InvalidInput
        With the variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InvalidInput(f"The environment does not set {match[1]}.", field="url")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _invalid(
    text: MappingText, error: ValidationError, table: str | None, number: int = 0
) -> InvalidInput:
    """Return the first validation error, in terms of the mapping's keys."""
    first = error.errors(include_url=False)[0]
    # Indices and names of union branches are no keys of the mapping.
    keys = [str(part) for part in first["loc"] if isinstance(part, str) and part.islower()]
    key = keys[-1] if keys else ""
    section = f"[{table}] " if table else ""
    if first["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {
            "identity": Identity,
            "returns": Returns,
            "drop": Drop,
            "no_product": Where,
            "no_customer": Where,
        }
        model = models.get(table if table == "identity" else keys[0], TableSource)
        allowed = [field.alias or name for name, field in model.model_fields.items()]
        problem = f"there is no key {key!r}; use {', '.join(allowed)}"
    elif first["type"] == "missing":
        return text.error(f"{section}{'.'.join(keys)} is missing", table, keys[0], number)
    else:
        message = first["msg"].removeprefix("Value error, ")
        value = first["input"]
        # A URL may contain a password.
        is_shown = isinstance(value, str | int | float) and key != "url"
        problem = f"{'.'.join(keys)} = {value!r}: {message}" if is_shown else message
    return text.error(section + problem, table, key, number)


def _check_pseudonymised(text: MappingText, table: str, number: int, source: TableSource) -> None:
    """Reject conditions and constants that need a customer id in the clear."""
    if CUSTOMER_ID in source.constants:
        problem = "customer_id is a constant, which pseudonymise would not protect"
        raise text.error(f"[{table}] {problem}", table, "constants", number)
    conditions = {
        "drop": [rule.column for rule in source.drop],
        "returns": [source.returns.column] if source.returns else [],
    }
    id_column = source.columns.get(CUSTOMER_ID)
    for key, columns in conditions.items():
        if id_column in columns:
            raise text.error(
                f"[{table}] {key} depends on {id_column!r}, which pseudonymise replaces by a "
                "keyed hash; use another column, or exclude these rows from the source",
                table,
                key,
                number,
            )


def read_source(
    text: MappingText, table: str, number: int, raw: Any, identity: Identity
) -> TableSource:
    """Check one source: its keys, then its columns against the canonical table.

    Raises
    ------
    InvalidInput
        If a key or column is unknown or missing, or two of them exclude each other.
    """
    try:
        source = TableSource.model_validate(raw)
    except ValidationError as error:
        raise _invalid(text, error, table, number) from None
    names = [*source.columns, *source.constants]
    _check_names(text, TABLES[table], number, source, identity)
    if "revenue" in names and "unit_price" in names:
        raise text.error(
            f"[{table}] gives revenue and unit_price; leave one out", table, "unit_price", number
        )
    _check_required(text, TABLES[table], number, names)
    for key in _ORDERS_ONLY:
        if table != "orders" and key in source.model_fields_set:
            raise text.error(f"[{table}] {key} is for orders only", table, key, number)
    for key, column in _NEEDS.items():
        given = names if key == "no_product" else source.columns
        if getattr(source, key) and column not in given:
            raise text.error(f"[{table}] {key} needs {column}", table, key, number)
    _check_kinds(text, TABLES[table], number, source)
    return source


def _check_kinds(text: MappingText, table: Table, number: int, source: TableSource) -> None:
    """Check that kinds names kinds of the table, whose words it lists."""
    column = table.columns.get("kind")
    known = column.words if column is not None else {}
    for kind in source.kinds:
        if kind not in known:
            allowed = f"use {', '.join(known)}" if known else "its kinds are free"
            problem = f"[{table.name}] has no kind {kind!r} for kinds; {allowed}"
            raise text.error(problem, table.name, "kinds", number)
    constant = source.constants.get("kind")
    words = {word for several in known.values() for word in several}
    if known and constant is not None and str(constant).lower() not in words:
        problem = f"[{table.name}] constants.kind = {constant!r} is none of {', '.join(known)}"
        raise text.error(problem, table.name, "kind", number)


def _check_names(
    text: MappingText, table: Table, number: int, source: TableSource, identity: Identity
) -> None:
    """Check that columns and constants have names that the canonical table allows, each once."""
    allowed = [*table.columns, *COMPUTED.get(table.name, {})]
    allowed += [*identity.customer_id, *identity.product_id]
    for name in (*source.columns, *source.constants):
        if name not in allowed and not table.open_ended:
            problem = f"[{table.name}] has no column {name!r}; use {', '.join(allowed)}"
            raise text.error(problem, table.name, name, number)
        if name.startswith(RESERVED_PREFIXES):
            problem = f"[{table.name}] column names may not begin with source. or source:"
            raise text.error(problem, table.name, name, number)
        if name in source.columns and name in source.constants:
            problem = f"[{table.name}] {name} is both in columns and in constants"
            raise text.error(problem, table.name, name, number)


def _check_required(text: MappingText, table: Table, number: int, names: list[str]) -> None:
    """Check that every required column is given or can be derived."""
    for name, alternatives in missing_columns(table, names).items():
        raise text.error(
            f"[{table.name}] does not say what {alternatives} is "
            f"({table.columns[name].meaning}); name it in columns or constants",
            table.name,
            "columns",
            number,
        )


def missing_columns(table: Table, names: Collection[str]) -> dict[str, str]:
    """Return the required columns that are neither named nor derived, each with alternatives."""
    missing = {}
    for name in table.required:
        alternatives = {name, _INTERCHANGEABLE.get(name, name)}
        if not alternatives & set(names) and name not in _DERIVED.get(table.name, ()):
            missing[name] = " or ".join(sorted(alternatives))
    return missing
