"""Text of a draft: sections in, lines of a mapping file with comments on uncertain guesses out."""

import json
import os
import re
from pathlib import Path

from features.ingest.mapping_draft.doubts import walk_in_accounts
from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.sections import FileProfile, Section
from features.ingest.sources.parse import EPOCH
from features.tables import TABLES

# Hours at which the six hours with the least activity begin if timestamps are in local time.
_NIGHT_STARTS = (22, 23, 0, 1, 2, 3)
_QUIET_HOURS = 6
_AMOUNTS = {"quantity", "unit_price", "revenue", "discount", "price", "on_hand"}
_DATES = ("ts", "day", "from_day", "last_day")


def render_head(name: str, files: list[FileProfile], sections: list[Section]) -> list[str]:
    """Return the lines before the tables: the dataset's name, and time zones."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "my-shop"
    lines = [
        "# Draft by `foresell data sketch`: check and correct it, then run `foresell data import`.",
        "# Every key is explained in examples/mapping.toml.",
        f"name = {_quoted(slug)}",
    ]
    timestamps = [file.column("ts") for file in files if "ts" in file.roles.columns]
    zoned = [column for column in timestamps if column.zoned]
    if zoned:
        lines += [
            f"# {zoned[0].name} carries a time zone. Replace this by the retailer's own:",
            'local_time_zone = "UTC"',
        ]
    elif hours := next(filter(None, map(_quiet_hours, timestamps)), None):
        lines += [
            f"# Activity is lowest from {hours} o'clock. If that is not the retailer's night, the",
            "# times are of another zone: set local_time_zone here, and time_zone in the table.",
        ]
    if not {"orders", "sales"} & {section.table for section in sections}:
        lines.append("# No file was recognised as [orders] or [sales]; one of them is required.")
    return lines


def _quiet_hours(column: ColumnProfile) -> str | None:
    """Return the six hours with the least activity, unless they are at night."""
    assert column.dates is not None  # noqa: S101
    hours = column.dates.drop_nulls().dt.hour()
    if hours.n_unique() < _QUIET_HOURS:
        return None
    counts = [int((hours == hour).sum()) for hour in range(24)]
    totals = [
        sum(counts[(hour + offset) % 24] for offset in range(_QUIET_HOURS)) for hour in range(24)
    ]
    start = totals.index(min(totals))
    return None if start in _NIGHT_STARTS else f"{start} to {(start + _QUIET_HOURS) % 24}"


def render_tables(sections: list[Section], folder: Path) -> list[str]:
    """Return the lines of all tables; paths are relative to `folder` where possible."""
    order = list(TABLES)
    tables = sorted({section.table for section in sections}, key=order.index)
    lines = []
    for table in tables:
        sources = [section for section in sections if section.table == table]
        header = f"[[{table}]]" if len(sources) > 1 else f"[{table}]"
        for source in sources:
            lines += ["", header, *_section_lines(source, folder)]
    return lines


def _section_lines(section: Section, folder: Path) -> list[str]:
    file, sample = section.file, section.file.sample
    path = sample.path.resolve()
    inside = path.is_relative_to(folder.resolve())
    lines = [f"path = {_quoted(os.path.relpath(path, folder.resolve()) if inside else str(path))}"]
    if sample.delimiter is not None:
        lines.append(f"delimiter = {_quoted(sample.delimiter)}")
    if sample.header is not None:
        lines.append(f"header = [{', '.join(map(_quoted, sample.header))}]")
        lines.append("# The first line is a record; column names are guesses by the values.")
    if section.table == "orders" and file.roles.system:
        lines.append(f"# An export of {file.roles.system}.")
    lines += [f"# {note}." for note in section.notes]
    columns = [f"{_key(name)} = {_quoted(raw)}" for name, raw in section.columns.items()]
    lines.append(f"columns = {{ {', '.join(columns)} }}")
    if section.constants:
        values = [f"{name} = {_quoted(str(value))}" for name, value in section.constants.items()]
        lines.append(f"constants = {{ {', '.join(values)} }}")
    lines += _number_lines(section)
    lines += _date_lines(section)
    if section.table == "orders":
        lines += _order_level_lines(section)
        lines += file.non_sales.lines(section.columns)
        lines += walk_in_accounts(file, section.columns)
    if section.table in ("orders", "sales"):
        lines += _unused_lines(file)
    return lines


def _unused_lines(file: FileProfile) -> list[str]:
    """Return comments on the columns that are not used."""
    cancelled = file.non_sales.cancelled
    unused = {
        name: reason
        for name, reason in file.roles.unused.items()
        if cancelled is None or name != cancelled[0]
    }
    if file.roles.system:
        return [f"# not used: {', '.join(unused)}"] if unused else []
    return [f"# not used: {name} ({reason})" for name, reason in unused.items()]


def _order_level_lines(section: Section) -> list[str]:
    """Return the columns that hold a value on the first line of an order for all of its lines."""
    file = section.file
    used = [*section.columns.values()]
    if file.non_sales.cancelled:
        used.append(file.non_sales.cancelled[0])
    names = [name for name in dict.fromkeys(used) if name in file.first_line_columns]
    return [f"order_level = [{', '.join(map(_quoted, names))}]"] if names else []


def _number_lines(section: Section) -> list[str]:
    """Return the decimal mark, unless it is the default."""
    numbers = _profiles(section, _AMOUNTS)
    return ['decimal = ","'] if any(column.decimal == "," for column in numbers) else []


def _date_lines(section: Section) -> list[str]:
    """Return the format of dates or the first week, with comments on doubts."""
    lines = []
    dated = _profiles(section, _DATES)
    formatted = next((column for column in dated if column.date_format is not None), None)
    if formatted is not None:
        name, form = formatted.name, formatted.date_format or ""
        if formatted.alternative_format:
            alternative = formatted.alternative_format
            lines.append(f"# The dates of {name} could also be of the form {alternative}.")
        if form == EPOCH:
            lines.append(f"# {name} counts from 1970.")
        lines.append(f"date_format = {_quoted(form)}")
    week = section.file.roles.columns.get("week")
    if week is not None and week in section.columns.values():
        first = int(section.file.columns[week].numbers.min() or 1)  # type: ignore[arg-type]
        lines.append(
            f"# {week} numbers weeks (from {first}). Replace this by the first day of week 1:"
        )
        lines.append('first_week = "2000-01-03"')
    elif section.table == "sales" and dated and _is_weekly(dated[0]):
        lines.append(f"# {dated[0].name} dates weeks: it should be the first day of each.")
    return lines


def _profiles(section: Section, names: set[str] | tuple[str, ...]) -> list[ColumnProfile]:
    """Return the profiles of a section's columns among some canonical names."""
    return [section.file.columns[raw] for name, raw in section.columns.items() if name in names]


def _is_weekly(column: ColumnProfile) -> bool:
    assert column.dates is not None  # noqa: S101
    return column.dates.drop_nulls().dt.weekday().n_unique() == 1 and column.dates.n_unique() > 2


def render_unrecognised(files: list[FileProfile]) -> list[str]:
    """Return comments on files that became no table."""
    lines = []
    for file in files:
        columns = ", ".join(file.columns)
        lines += ["", f"# {file.sample.path.name} was not recognised; its columns are {columns}."]
        if file.roles.columns:
            roles = [f"{role} = {_quoted(raw)}" for role, raw in file.roles.columns.items()]
            lines.append(f"# Recognised columns: {', '.join(roles)}.")
    return lines


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
