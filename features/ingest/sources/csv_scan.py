"""One pass over the bytes of a CSV file in UTF-8: is it regular, and which of its lines are not.

A regular file can be read at full speed; what the survey found is laid over the rows afterwards.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 1 << 22
# A longer line holds a field that is no value of anything.
LINE_BYTES = 1 << 17
# With more broken lines than this, a file is read line by line.
_LISTED = 50_000
TOO_MANY = "more fields than the header has columns"
TOO_FEW = "fewer fields than the header has columns"
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]


@dataclass
class Survey:
    """What was found.

    Attributes
    ----------
    regular
        Whether each line is a record, and quotes stand around whole fields alone.
    quoted
        Whether there are quotes.
    lines
        Number of lines.
    blank
        Numbers of the lines that hold nothing.
    broken
        What is wrong with lines of another number of fields, by their number.
    """

    regular: bool = True
    quoted: bool = False
    lines: int = 0
    blank: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)


def survey(path: Path, delimiter: str, width: int) -> Survey:
    """Look at every line of a file that should have `width` fields a line."""
    found = Survey()
    mark = ord(delimiter)
    with path.open("rb") as stream:
        rest = b""
        while chunk := stream.read(CHUNK_BYTES):
            whole, end, tail = (rest + chunk).rpartition(b"\n")
            rest = tail
            if end:
                _look(whole + end, mark, width, found)
            if len(rest) > LINE_BYTES:
                found.regular = False
            if not found.regular:
                return found
        if rest:
            _look(rest + b"\n", mark, width, found)
    return found


def _look(text: bytes, mark: int, width: int, found: Survey) -> None:
    """Add what some whole lines show."""
    data = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    marks = data == mark
    if b'"' in text:
        found.quoted = True
        inside = np.cumsum(data == _QUOTE, dtype=np.uint8) & 1
        if inside[ends].any() or not _around_fields(data, mark):
            found.regular = False
            return
        marks &= inside == 0
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.max() > LINE_BYTES or text.count(b"\r") != text.count(b"\r\n"):
        found.regular = False
        return
    fields = np.diff(np.searchsorted(np.flatnonzero(marks), ends), prepend=0) + 1
    odd = np.flatnonzero((fields != width) | (lengths <= 1))
    if len(odd) > _LISTED - len(found.broken):
        found.regular = False
        return
    for number in odd.tolist():
        line = text[ends[number] - lengths[number] : ends[number]]
        at = found.lines + number + 1
        if not line.strip():
            found.blank.append(at)
        elif fields[number] < width:
            found.broken[at] = TOO_FEW
        elif fields[number] > width and not _ends_empty(line, mark, fields[number] - width):
            found.broken[at] = TOO_MANY
    found.lines += len(ends)


def _around_fields(data: Bytes, mark: int) -> bool:
    """Whether every quote opens or closes a field, or is one of two that stand for one."""
    quotes = np.flatnonzero(data == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    before = np.where(opening > 0, data[opening - 1], _NEWLINE)
    after = data[np.minimum(closing + 1, len(data) - 1)]
    opens = (before == mark) | (before == _NEWLINE) | (before == _QUOTE)
    closes = (after == mark) | (after == _NEWLINE) | (after == _RETURN) | (after == _QUOTE)
    return bool(opens.all() and closes.all())


def _ends_empty(line: bytes, mark: int, surplus: int) -> bool:
    return line.rstrip(b"\r").endswith(bytes([mark]) * surplus)
