"""Decimal marks of a source: its raw rows in, the mark of each column of numbers out.

`1,250` may be either number, `0,345` and `12,5` may not. All values of a column decide together,
then the other columns of the source; what stays unsure is asked for.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.errors import InvalidInput
from features.ingest.source_columns import DECIMALS, FAULT, RAW_PREFIX, SOURCE_FILE
from features.ingest.sources.numbers import MISSING_NUMBER

MARKS = (".", ",")
# A column has no decimal mark of its own if more than this share of its numbers contradict the
# others, and they are more than a few errors.
_MAX_CONTRADICTING = 0.05
_FEW = 20
# What may stand around the digits.
_BEFORE, _AFTER = r"^(?:[^0-9]*[^0-9.,]\.)?[^0-9.,]*", r"[^0-9.,]*(?:[^0-9.,]\.)?$"


@dataclass(frozen=True)
class _Evidence:
    """Values of a column, counted by what they say about its decimal mark.

    Attributes
    ----------
    certain
        Numbers with this decimal mark only, by mark.
    unsure
        Numbers with this mark before three digits, by mark: 1,250.
    long
        Numbers of more than three digits without any mark.
    unmarked
        Numbers without any mark.
    examples
        A certain or unsure value by mark, with its file.
    """

    certain: Mapping[str, int]
    unsure: Mapping[str, int]
    long: int
    unmarked: int
    examples: Mapping[str, str]


def only_with_mark(mark: str) -> str:
    """Return the regular expression of numbers that have no other decimal mark than this."""
    other = "," if mark == "." else "."
    group = "[0-9]{2,3}" if other == "," else "[0-9]{3}"
    decimal, thousands = re.escape(mark), re.escape(other)
    forms = (
        rf"(?:0[0-9]*|[0-9]{{4,}})?{decimal}[0-9]+",
        rf"[0-9]+{decimal}(?:[0-9]{{0,2}}|[0-9]{{4,}})",
        rf"[1-9][0-9]{{0,2}}(?:[ '\u2019\u00a0\u202f][0-9]{{3}})+{decimal}[0-9]*",
        rf"[1-9][0-9]{{0,2}}(?:{thousands}{group})*{thousands}[0-9]{{3}}{decimal}[0-9]*",
        rf"[1-9][0-9]{{0,2}}(?:{thousands}{group})+{thousands}[0-9]{{3}}",
    )
    return f"{_BEFORE}(?:{'|'.join(forms)}){_AFTER}"


def decide_marks(
    frame: pl.LazyFrame, columns: Mapping[str, str], stated: str | None
) -> dict[str, str]:
    """Decide the decimal mark of each column of numbers.

    Parameters
    ----------
    frame
        The source's raw rows.
    columns
        Canonical name by raw name of the columns.
    stated
        The mark that the mapping states; None if it states none.

    Returns
    -------
    The mark by raw name.

    Raises
    ------
    InvalidInput
        If the numbers of a column contradict each other or the mapping, or allow both marks.
    """
    marks = dict.fromkeys(columns, stated or ".")
    schema = frame.collect_schema()
    texts = [raw for raw in columns if schema.get(f"{RAW_PREFIX}{raw}") == pl.String]
    if FAULT in schema:
        frame = frame.filter(pl.col(FAULT).is_null())
    if not texts or (stated != "," and not _has_other_than_plain(frame, texts)):
        return marks
    found = _collect_evidence(frame, texts)
    for raw in texts:
        marks[raw] = _mark(columns[raw], raw, found[raw], stated) or marks[raw]
    if stated is None:
        sure = {marks[raw] for raw in texts if any(found[raw].certain.values())}
        for raw in texts:
            if not any(found[raw].certain.values()):
                mark = next(iter(sure)) if len(sure) == 1 else None
                marks[raw] = mark or _likely_mark(columns[raw], raw, found[raw])
    return marks


def with_marks(rows: pl.DataFrame, marks: Mapping[str, str]) -> pl.DataFrame:
    """Return raw rows with their decimal marks, for quarantine, unless all are points."""
    if "," not in marks.values():
        return rows
    return rows.with_columns(pl.lit(json.dumps(marks)).alias(DECIMALS))


def _has_other_than_plain(frame: pl.LazyFrame, columns: list[str]) -> bool:
    """Whether a column has values that are no plain numbers with a decimal point."""
    values = [pl.col(f"{RAW_PREFIX}{raw}") for raw in columns]
    other = [
        (value.cast(pl.Float64, strict=False).is_null() & ~value.is_in(MISSING_NUMBER)).any()
        for value in values
    ]
    return any(frame.select(other).collect(engine="streaming").row(0))


def _collect_evidence(frame: pl.LazyFrame, columns: list[str]) -> dict[str, _Evidence]:
    """Count the values of all columns in one pass."""
    file = pl.col(SOURCE_FILE) if SOURCE_FILE in frame.collect_schema() else pl.lit(None)
    expressions = []
    for number, raw in enumerate(columns):
        value = pl.col(f"{RAW_PREFIX}{raw}")
        example = pl.struct(value.alias("value"), file.alias("file"))
        for mark in MARKS:
            before_three = f"[1-9][0-9]{{0,2}}{re.escape(mark)}[0-9]{{3}}"
            patterns = {
                "certain": only_with_mark(mark),
                "unsure": f"{_BEFORE}{before_three}{_AFTER}",
            }
            for kind, pattern in patterns.items():
                fits = value.str.contains(pattern)
                expressions.append(fits.sum().alias(f"{number} {kind} {mark}"))
                first = example.filter(fits).first()
                expressions.append(first.alias(f"{number} {kind} {mark} example"))
        for kind, digits in (("long", "[0-9]{4,}"), ("unmarked", "[0-9]+")):
            fits = value.str.contains(f"^[^0-9.,]*{digits}[^0-9.,]*$")
            expressions.append(fits.sum().alias(f"{number} {kind}"))
    row = frame.select(expressions).collect(engine="streaming").row(0, named=True)
    return {raw: _evidence(row, number) for number, raw in enumerate(columns)}


def _evidence(row: Mapping[str, Any], number: int) -> _Evidence:
    """Return the counts of the column with a number."""
    counts = {
        kind: {mark: int(row[f"{number} {kind} {mark}"] or 0) for mark in MARKS}
        for kind in ("certain", "unsure")
    }
    examples = {}
    for mark in MARKS:
        kind = "certain" if counts["certain"][mark] else "unsure"
        example = row[f"{number} {kind} {mark} example"] or {"value": "", "file": None}
        where = f" in {example['file']}" if example["file"] else ""
        examples[mark] = f"{example['value']!r}{where}"
    return _Evidence(
        counts["certain"],
        counts["unsure"],
        int(row[f"{number} long"] or 0),
        int(row[f"{number} unmarked"] or 0),
        examples,
    )


def _mark(name: str, raw: str, found: _Evidence, stated: str | None) -> str | None:
    """Return the mark that a column's numbers show; None if they show none.

    Raises
    ------
    InvalidInput
        If too many contradict the others, or the mapping.
    """
    total = sum(found.certain.values())
    if not total:
        return stated
    mark = stated or max(MARKS, key=found.certain.__getitem__)
    other = "," if mark == "." else "."
    contradicting, agreeing = found.certain[other], found.certain[mark]
    are_few = contradicting < _FEW and contradicting < agreeing
    if are_few or contradicting <= _MAX_CONTRADICTING * total:
        return mark
    if stated is not None:
        raise InvalidInput(
            f"{name}: column {raw!r} contradicts decimal = {stated!r} in {contradicting:,} "
            f"of {total:,} numbers, such as {found.examples[other]}; set decimal = {other!r}, or "
            "leave it out, and it is decided for each column.",
            field="decimal",
        )
    raise InvalidInput(
        f"{name}: column {raw!r} has numbers with either decimal mark: {agreeing:,} "
        f"such as {found.examples[mark]}, and {contradicting:,} such as "
        f"{found.examples[other]}. Read them as two sources, or write them alike.",
        field=raw,
    )


def _likely_mark(name: str, raw: str, found: _Evidence) -> str:
    """Return the mark of a column without any certain number.

    Raises
    ------
    InvalidInput
        If its numbers allow both marks.
    """
    groups = found.unmarked and not found.long  # 12 beside 1,250, and no 1250
    if not found.unsure[","] or (groups and not found.unsure["."]):
        return "."
    value = found.examples[","]
    raise InvalidInput(
        f"{name}: column {raw!r} has numbers such as {value}, and none that shows whether the "
        "comma is the decimal mark or separates thousands; set decimal.",
        field=raw,
    )
