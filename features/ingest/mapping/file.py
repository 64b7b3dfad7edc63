"""Reading a mapping file: TOML text in, a checked Mapping out that knows its own lines.

Used by `foresell data import`, which also keeps a copy for the nightly job.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from features.errors import InvalidInput
from features.identity import LINK_TABLES
from features.ingest.mapping.links import with_links
from features.ingest.mapping.position import Place
from features.ingest.mapping.schema import (
    COMPUTED,
    Drop,
    Identity,
    Mapping,
    Returns,
    TableSource,
    Where,
)
from features.tables import TABLES

# A count of days and an instant can each be had from the other.
_EITHER = {"ts": "day", "day": "ts", "to_day": "last_day"}
# What an order line may lack, since there is a rule that makes it.
_MADE = {"orders": ("order_id", "line", "quantity", "kind")}
_COPY = "# A copy of "
_TOP = ("name", "folder", "local_time_zone", "pseudonymise", "identity")
# Tables that records are read into; those of links follow from [identity].
_READ = tuple(name for name in TABLES if name not in LINK_TABLES.values())


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
    at = Place(path, text)
    tables: dict[str, list[TableSource]] = {}
    try:
        identity = Identity.model_validate(raw.get("identity", {}))
    except ValidationError as error:
        raise _invalid(at, error, "identity") from None
    for key, value in raw.items():
        if key in _READ:
            parts = value if isinstance(value, list) else [value]
            tables[key] = [_source(at, key, n, part, identity) for n, part in enumerate(parts)]
        elif key not in _TOP:
            raise at.error(f"there is no key {key!r}; use {', '.join((*_TOP, *_READ))}", None, key)
    if "identity" in raw:
        tables = with_links(at, tables, identity)
    if not {"orders", "sales"} & set(tables):
        raise at.error("it names neither orders nor sales; one of these tables is needed")
    head = {key: raw[key] for key in _TOP if key in raw}
    folder = path.resolve().parent / str(head.pop("folder", "."))
    try:
        mapping = Mapping(folder=folder, tables=tables, at=at, **head)
    except ValidationError as error:
        raise _invalid(at, error, None) from None
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
            if mapping.pseudonymise:
                _check_hidden(at, table, number, source)
    return mapping


def stored_copy(path: Path, mapping: Mapping) -> str:
    """Return the mapping file's text with its folder written out, to be read from elsewhere."""
    text = path.read_text(encoding="utf-8").removeprefix(_copied_from(original_of(path)))
    head = re.search(r"^\s*\[", text, re.MULTILINE)
    cut = head.start() if head else len(text)
    kept = re.sub(r"^[ \t]*folder[ \t]*=.*\n", "", text[:cut], flags=re.MULTILINE)
    folder = str(mapping.folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'{_copied_from(original_of(path))}folder = "{folder}"\n{kept}{text[cut:]}'


def original_of(path: Path) -> Path:
    """Where the mapping file stands that a person edits: the file itself, or what it copies."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return Path(first.removeprefix(_COPY)) if first.startswith(_COPY) else path.resolve()


def _copied_from(original: Path) -> str:
    return f"{_COPY}{original}\n"


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


def _invalid(at: Place, error: ValidationError, table: str | None, number: int = 0) -> InvalidInput:
    """Say the first of a model's complaints in the mapping's own words."""
    first = error.errors(include_url=False)[0]
    # Numbers and the names of a union's branches say nothing to the reader.
    keys = [str(part) for part in first["loc"] if isinstance(part, str) and part.islower()]
    key = keys[-1] if keys else ""
    section = f"[{table}] " if table else ""
    if first["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {
            "identity": Identity,
            "returns": Returns,
            "drop": Drop,
            "no_product": Where,
        }
        model = models.get(table if table == "identity" else keys[0], TableSource)
        allowed = [item.alias or name for name, item in model.model_fields.items()]
        problem = f"there is no key {key!r}; use {', '.join(allowed)}"
    elif first["type"] == "missing":
        return at.error(f"{section}{'.'.join(keys)} is missing", table, keys[0], number)
    else:
        message = first["msg"].removeprefix("Value error, ")
        value = first["input"]
        # A url may hold a password.
        shown = isinstance(value, str | int | float) and key != "url"
        problem = f"{'.'.join(keys)} = {value!r}: {message}" if shown else message
    return at.error(section + problem, table, key, number)


def _check_hidden(at: Place, table: str, number: int, source: TableSource) -> None:
    """Refuse what would need an id that a keyed hash takes the place of."""
    hidden = source.columns.get("customer_id")
    if "customer_id" in source.constants:
        problem = "customer_id is a constant, which no hash would hide"
        raise at.error(f"[{table}] {problem} (pseudonymise)", table, "constants", number)
    told = {"drop": [rule.column for rule in source.drop]}
    told["returns"] = [source.returns.column] if source.returns else []
    for key, columns in told.items():
        if hidden in columns:
            raise at.error(
                f"[{table}] {key} looks at {hidden!r}, of which only a keyed hash is read "
                "(pseudonymise); tell these rows by another column, or keep them out of the "
                "source",
                table,
                key,
                number,
            )


def _source(at: Place, table: str, number: int, raw: Any, identity: Identity) -> TableSource:
    """Check one source of one table: its keys, then its columns against the canonical table."""
    try:
        source = TableSource.model_validate(raw)
    except ValidationError as error:
        raise _invalid(at, error, table, number) from None
    canonical = TABLES[table]
    allowed = [*canonical.columns, *COMPUTED.get(table, {})]
    allowed += [*identity.customer_id, *identity.product_id]
    given = [*source.columns, *source.constants]
    for name in given:
        if name not in allowed and not canonical.open_ended:
            raise at.error(
                f"[{table}] has no column {name!r}; use {', '.join(allowed)}", table, name, number
            )
        if name.startswith(("source.", "source:")):
            raise at.error(f"[{table}] column names may not begin with source", table, name)
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
    for key in ("returns", "cap_quantity", "no_product"):
        if table != "orders" and key in source.model_fields_set:
            raise at.error(f"[{table}] {key} is for orders only", table, key, number)
    if source.no_product and "product_id" not in given:
        raise at.error(f"[{table}] no_product needs product_id", table, "no_product", number)
    return source
