"""Header of a table of text: its first lines in, column names and the line of the first record out.

Spreadsheets write titles, blank lines or `sep=;` above the header, leave header cells empty and
repeat names.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = (",", ";", "\t", "|")
# Lines among which the header is searched.
SEARCHED_LINES = 60
_SEPARATOR = re.compile(r'^"?sep=(.)"?;*,*$', re.IGNORECASE)
_NAMELESS = "source.column_"
# Lines above the header have fewer cells than this share of a usual line's.
_TITLE_SHARE = 0.5


@dataclass(frozen=True)
class Header:
    """Column names of a table and where its records begin.

    Attributes
    ----------
    names
        A column without a name is named by its position, and several of one name are numbered:
        `price [1]`, `price [2]`.
    delimiter
        The delimiter of fields.
    lines
        Number of lines before the first record.
    """

    names: list[str]
    delimiter: str
    lines: int


def find_header(
    lines: Sequence[str],
    delimiter: str | None,
    *,
    expected: Sequence[str] = (),
    skip_rows: int | None = None,
    names: Sequence[str] | None = None,
) -> Header | None:
    """Find the header of a text file; None if there is none.

    Parameters
    ----------
    lines
        The first lines.
    delimiter
        The delimiter; None to detect it.
    expected
        Names that the header should have.
    skip_rows
        Number of lines above the header; None to search for it.
    names
        Names of the columns of a file without a header line.
    """
    stated = _SEPARATOR.match(lines[0].strip()) if lines else None
    start = int(stated is not None) if skip_rows is None else skip_rows
    if delimiter is None and stated is not None:
        delimiter = stated[1]
    if names is not None:
        first = lines[start] if start < len(lines) else ""
        return Header(list(names), delimiter or detect_delimiter(first), start)
    rows = [split_line(line, delimiter or detect_delimiter(line)) for line in lines]
    index = start if skip_rows is not None else find_header_row(rows, start, expected)
    if index is None or index >= len(rows) or not any(rows[index]):
        return None
    found = delimiter or detect_delimiter(lines[index])
    return Header(complete_names(rows[index]), found, index + 1)


def find_header_row(
    rows: Sequence[Sequence[str]], start: int = 0, expected: Sequence[str] = ()
) -> int | None:
    """Return the index of the row with all or most expected names, or the first full row."""
    hits = {
        index: len(set(expected) & set(complete_names(rows[index])))
        for index in range(start, len(rows))
    }
    best = max(hits, key=lambda index: (hits[index], -index), default=None)
    if best is not None and hits[best]:
        return best
    filled = {index: sum(map(bool, rows[index])) for index in hits}
    usual = Counter(count for count in filled.values() if count)
    if not usual:
        return None
    least = _TITLE_SHARE * usual.most_common(1)[0][0]
    return next(index for index, count in filled.items() if count and count > least)


def complete_names(cells: Sequence[str]) -> list[str]:
    """Name columns without a name by their position, and number those with the same name."""
    total = Counter(cells)
    seen: Counter[str] = Counter()
    names = []
    for position, cell in enumerate(cells, 1):
        seen[cell] += 1
        several = f"{cell} [{seen[cell]}]" if total[cell] > 1 else cell
        names.append(several if cell else f"{_NAMELESS}{position}")
    return names


def is_named(column: str) -> bool:
    """Whether a column has a name in its header."""
    return not column.startswith(_NAMELESS)


def detect_delimiter(line: str) -> str:
    """Return the delimiter that occurs most often in a line, outside quotes."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=unquoted.count)


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line without surrounding blanks."""
    try:
        fields = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []
    return [field.strip() for field in fields]
