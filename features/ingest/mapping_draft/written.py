"""A draft's text: sources in, the lines of a mapping out, doubts as comments beside the guesses."""

import json
import os
import re
from pathlib import Path

from features.ingest.mapping_draft.profile import Profile
from features.ingest.mapping_draft.sections import Look, Section
from features.ingest.sources.parse import EPOCH
from features.tables import TABLES

# Hours at which the six quietest ones begin where times are local.
_NIGHTS = (22, 23, 0, 1, 2, 3)


def head(said: str, looks: list[Look], sections: list[Section]) -> list[str]:
    """Write what comes before the tables: the dataset's name, and what was told of time zones."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", said).strip("-").lower() or "my-shop"
    lines = [
        "# A draft by `foresell data sketch`: read it, mend it, then `foresell data import` it.",
        "# Every key is explained in examples/mapping.toml.",
        f"name = {_text(name)}",
    ]
    instants = [look.of("ts") for look in looks if "ts" in look.roles.columns]
    zoned = [one for one in instants if one.zoned]
    if zoned:
        lines += [
            f"# {zoned[0].name} carries a time zone; in which one the retailer lives was not told:",
            'local_time_zone = "UTC"',
        ]
    elif quiet := next(filter(None, map(_quiet_hours, instants)), None):
        lines += [
            f"# Least happens from {quiet} o'clock. Where that is not the retailer's night, times",
            "# are of another zone: say local_time_zone here, and time_zone in the table.",
        ]
    if not {"orders", "sales"} & {one.table for one in sections}:
        lines.append("# Neither [orders] nor [sales] was found, and one of them is needed.")
    return lines


def _quiet_hours(one: Profile) -> str | None:
    """Name the six hours in which least happens, where instants have a time of day."""
    assert one.dates is not None  # noqa: S101
    hours = one.dates.drop_nulls().dt.hour()
    if hours.n_unique() < 6:
        return None
    counts = [int((hours == hour).sum()) for hour in range(24)]
    start = min(range(24), key=lambda hour: sum(counts[(hour + n) % 24] for n in range(6)))
    return None if start in _NIGHTS else f"{start} to {(start + 6) % 24}"


def body(sections: list[Section], folder: Path) -> list[str]:
    """Write the tables, each source with what could not be told of it."""
    order = list(TABLES)
    tables = sorted({one.table for one in sections}, key=order.index)
    lines = []
    for table in tables:
        mine = [one for one in sections if one.table == table]
        for one in mine:
            header = f"[[{table}]]" if len(mine) > 1 else f"[{table}]"
            lines += ["", header, *_written(one, folder)]
    return lines


def _written(section: Section, folder: Path) -> list[str]:
    look, sample = section.look, section.look.sample
    path = sample.path.resolve()
    inside = path.is_relative_to(folder.resolve())
    shown = os.path.relpath(path, folder.resolve()) if inside else str(path)
    lines = [f"path = {_text(shown)}"]
    if sample.delimiter is not None:
        lines.append(f"delimiter = {_text(sample.delimiter)}")
    if sample.header is not None:
        lines.append(f"header = [{', '.join(map(_text, sample.header))}]")
        lines.append(
            "# The first line is a record: columns got these names by a guess at their values."
        )
    lines += [f"# {note}." for note in section.notes]
    pairs = [f"{_key(name)} = {_text(raw)}" for name, raw in section.columns.items()]
    lines.append(f"columns = {{ {', '.join(pairs)} }}")
    if section.constants:
        fixed = [f"{name} = {_text(str(value))}" for name, value in section.constants.items()]
        lines.append(f"constants = {{ {', '.join(fixed)} }}")
    lines += _reading(section)
    if section.table in ("orders", "sales"):
        lines += look.oddities.lines(section.columns) if section.table == "orders" else []
        lines += [f"# not used: {name} ({why})" for name, why in look.roles.spare.items()]
    return lines


def _reading(section: Section) -> list[str]:
    """Say how dates and numbers are written, where they are not as they are by default."""
    lines = []
    amounts = {"quantity", "unit_price", "revenue", "discount", "price", "on_hand"}
    numbers = [
        section.look.profiles[raw] for name, raw in section.columns.items() if name in amounts
    ]
    if any(one.decimal == "," for one in numbers):
        lines.append('decimal = ","')
    days = ("ts", "day", "from_day", "last_day")
    dated = [section.look.profiles[raw] for name, raw in section.columns.items() if name in days]
    for one in [one for one in dated if one.date_format is not None][:1]:
        if one.doubt:
            lines.append(f"# The dates of {one.name} could also be of the form {one.doubt}.")
        if one.date_format == EPOCH:
            lines.append(f"# {one.name} counts from 1970.")
        lines.append(f"date_format = {_text(one.date_format or '')}")
    week = section.look.roles.columns.get("week")
    if week is not None and week in section.columns.values():
        first = int(section.look.profiles[week].numbers.min() or 1)  # type: ignore[arg-type]
        lines.append(
            f"# {week} numbers weeks (from {first}); when week 1 began was not told. Mend this:"
        )
        lines.append('first_week = "2000-01-03"')
    elif section.table == "sales" and dated and _is_weekly(dated[0]):
        lines.append(f"# {dated[0].name} names weeks: it should be the first day of each.")
    return lines


def _is_weekly(one: Profile) -> bool:
    assert one.dates is not None  # noqa: S101
    return one.dates.drop_nulls().dt.weekday().n_unique() == 1 and one.dates.n_unique() > 2


def tail(left: list[Look]) -> list[str]:
    """Write what was not understood."""
    lines = []
    for look in left:
        lines += [
            "",
            f"# {look.sample.path.name} was not understood: it has {', '.join(look.profiles)}.",
        ]
        if look.roles.columns:
            told = ", ".join(f"{name} = {_text(raw)}" for name, raw in look.roles.columns.items())
            lines.append(f"# Of these were recognised: {told}.")
    return lines


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)
