"""Structure of a CSV file in UTF-8: one pass over its bytes finds blank and broken lines.

A regular file can be scanned at full speed; the broken lines are marked afterwards.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 1 << 22
# A longer line contains a field that is no valid value.
LINE_BYTES = 1 << 17
TOO_MANY = "more fields than the header has columns"
TOO_FEW = "fewer fields than the header has columns"
# A file with more broken lines is read line by line.
_MAX_BROKEN_LINES = 50_000
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'

Bytes = NDArray[np.uint8]


@dataclass
class CsvStructure:
    """Structure of a CSV file.

    Attributes
    ----------
    regular
        Whether every line is a record, and quotes enclose whole fields only.
    quoted
        Whether the file contains quotes.
    lines
        Number of lines.
    blank
        Numbers of blank lines.
    broken
        Error by line number, for lines with another number of fields than the header.
    """

    regular: bool = True
    quoted: bool = False
    lines: int = 0
    blank: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)


def inspect_csv(path: Path, delimiter: str, width: int) -> CsvStructure:
    """Inspect every line of a file that should have `width` fields per line.

    The inspection ends at the first irregularity.
    """
    structure = CsvStructure()
    delimiter_byte = ord(delimiter)
    with path.open("rb") as stream:
        rest = b""
        while chunk := stream.read(CHUNK_BYTES):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                _inspect_lines(lines + newline, delimiter_byte, width, structure)
            if len(rest) > LINE_BYTES:
                structure.regular = False
            if not structure.regular:
                return structure
        if rest:
            _inspect_lines(rest + b"\n", delimiter_byte, width, structure)
    return structure


def _inspect_lines(text: bytes, delimiter: int, width: int, structure: CsvStructure) -> None:
    """Add complete lines to a structure."""
    data = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    delimiters = data == delimiter
    if b'"' in text:
        structure.quoted = True
        inside_quotes = np.cumsum(data == _QUOTE, dtype=np.uint8) & 1
        if inside_quotes[ends].any() or not _quotes_enclose_fields(data, delimiter):
            structure.regular = False
            return
        delimiters &= inside_quotes == 0
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.max() > LINE_BYTES or text.count(b"\r") != text.count(b"\r\n"):
        structure.regular = False
        return
    fields = np.diff(np.searchsorted(np.flatnonzero(delimiters), ends), prepend=0) + 1
    irregular = np.flatnonzero((fields != width) | (lengths <= 1))
    if len(irregular) > _MAX_BROKEN_LINES - len(structure.broken):
        structure.regular = False
        return
    for index in irregular.tolist():
        line = text[ends[index] - lengths[index] : ends[index]]
        number = structure.lines + index + 1
        surplus = fields[index] - width
        if not line.strip():
            structure.blank.append(number)
        elif surplus < 0:
            structure.broken[number] = TOO_FEW
        elif surplus > 0 and not _ends_with_empty_fields(line, delimiter, surplus):
            structure.broken[number] = TOO_MANY
    structure.lines += len(ends)


def _quotes_enclose_fields(data: Bytes, delimiter: int) -> bool:
    """Whether every quote opens or closes a field, or belongs to an escaped (doubled) quote."""
    quotes = np.flatnonzero(data == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    before = np.where(opening > 0, data[opening - 1], _NEWLINE)
    after = data[np.minimum(closing + 1, len(data) - 1)]
    opens = (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    closes = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN) | (after == _QUOTE)
    return bool(opens.all() and closes.all())


def _ends_with_empty_fields(line: bytes, delimiter: int, surplus: int) -> bool:
    return line.rstrip(b"\r").endswith(bytes([delimiter]) * surplus)
