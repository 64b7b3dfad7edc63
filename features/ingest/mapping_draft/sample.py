"""Sample of a file: a path in, rows from its beginning, middle and end out."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import polars as pl

from features.errors import InvalidInput
from features.ingest.sources.csv_header import (
    DELIMITERS,
    SEARCHED_LINES,
    detect_delimiter,
    find_header,
    is_named,
)
from features.ingest.sources.csv_text import (
    WHITESPACE,
    CsvOptions,
    detect_encoding,
    open_bytes,
)
from features.ingest.sources.files import is_text, scan_file
from features.ingest.sources.numbers import number

_PORTION_BYTES = 6 << 20
_ROWS = 200_000
_FURTHER_DELIMITERS = (":", "^", "~", "\x01")
_DELIMITER_LINES = 200  # lines that decide the delimiter


@dataclass(frozen=True)
class Sample:
    """Rows of a file, with the options that reading it needs.

    Attributes
    ----------
    path
        The file, or a glob of similar files.
    frame
        The rows.
    delimiter
        Delimiter of a CSV file; None if it is detected on import.
    header
        Column names, for a CSV file whose first line is a record.
    """

    path: Path
    frame: pl.DataFrame
    delimiter: str | None = None
    header: tuple[str, ...] | None = None

    def renamed(self, names: dict[str, str]) -> "Sample":
        """Return the sample with other column names, for a file without a header."""
        header = tuple(names.get(name, name) for name in self.header or ())
        return replace(self, frame=self.frame.rename(names), header=header)


def take_sample(path: Path, scratch: Path) -> Sample:
    """Read a sample of a file.

    Raises
    ------
    InvalidInput
        If the file does not exist, is empty, or is of an unknown type.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", field="file")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{path} is empty.", field="file")
    return _sample_text(path, scratch) if is_text(path) else _sample_table(path, scratch)


def _sample_table(path: Path, scratch: Path) -> Sample:
    """Read four portions of a Parquet or Excel file."""
    frame, names = scan_file(path, CsvOptions(), scratch)
    rows = frame.select(pl.len()).collect().item()
    step = max(1, rows // 4)
    starts = sorted({0, step, 2 * step, max(0, rows - step)})
    portions = [frame.slice(start, min(step, _ROWS // 4)).collect() for start in starts]
    rows = pl.concat(portions).select([name for name in names if is_named(name)])
    return Sample(path, rows.unique(maintain_order=True))


def _sample_text(path: Path, scratch: Path) -> Sample:
    """Read portions of a CSV file."""
    text = _portions(path).removeprefix("\ufeff")
    found = find_header(text.splitlines()[:SEARCHED_LINES], None)
    above = 0 if found is None else found.lines - 1
    lines = [line for line in text.splitlines()[above:] if line.strip()]
    if not lines:
        raise InvalidInput(f"{path} is empty; a line should name the columns.", field="file")
    delimiter = _delimiter(lines[:_DELIMITER_LINES])
    header = _missing_header(lines, delimiter)
    copy = scratch / f"{len(list(scratch.iterdir()))}.csv"
    copy.write_text("\n".join([*lines, ""]), encoding="utf-8")
    try:
        frame, names = scan_file(copy, CsvOptions("utf-8", delimiter, header), scratch)
    except InvalidInput as error:
        message = error.message.replace(str(copy), str(path))
        raise InvalidInput(message, field=error.field) from None
    rows = frame.select([name for name in names if is_named(name)]).head(2 * _ROWS).collect()
    return Sample(path, rows, None if delimiter in DELIMITERS else delimiter, header)


def group_files(files: Sequence[Path]) -> list[list[Path]]:
    """Group files whose names differ in digits only, and that a glob selects exactly."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        groups.setdefault((path.parent, re.sub(r"\d+", "#", path.name)), []).append(path)
    exact = []
    for group in groups.values():
        names = {path.name for path in group}
        matched = {path.name for path in group[0].parent.glob(glob_of(group).name)}
        exact += [sorted(group)] if matched == names else [[path] for path in group]
    return exact


def glob_of(group: Sequence[Path]) -> Path:
    """Return a glob for files of one folder: the common beginning and end of their names."""
    names = [path.name for path in group]
    if len(names) == 1:
        return group[0]
    start = _common_beginning(names)
    end = _common_beginning([name.removeprefix(start)[::-1] for name in names])[::-1]
    return group[0].parent / f"{start}*{end}"


def _common_beginning(names: Sequence[str]) -> str:
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in shared)


def _portions(path: Path) -> str:
    """Return complete lines from the beginning, the middle and the end of a file."""
    encoding = detect_encoding(path)
    with open_bytes(path) as stream:
        first = stream.read(2 * _PORTION_BYTES)
        is_complete = len(first) < 2 * _PORTION_BYTES
        if path.suffix == ".gz" or is_complete or "16" in encoding:
            text = first.decode(encoding, "replace")
            return text if is_complete else text[: text.rfind("\n") + 1]
        size = path.stat().st_size
        portions = [first[: first.rfind(b"\n") + 1]]
        for start in (size // 2, size - _PORTION_BYTES):
            stream.seek(max(start, stream.tell()))
            portion = stream.read(_PORTION_BYTES)
            portions.append(portion[portion.find(b"\n") + 1 : portion.rfind(b"\n") + 1])
    return b"".join(portions).decode(encoding, "replace")


def _delimiter(lines: list[str]) -> str:
    """Detect the delimiter of fields, whitespace included."""
    header = lines[0]
    best = detect_delimiter(header)
    if best in header:
        return best
    for delimiter in _FURTHER_DELIMITERS:
        if delimiter in header and len({line.count(delimiter) for line in lines}) == 1:
            return delimiter
    widths = {len(line.split()) for line in lines}
    return WHITESPACE if len(widths) == 1 and widths != {1} else best


def _missing_header(lines: list[str], delimiter: str) -> tuple[str, ...] | None:
    """Return column names for a file whose first line is a record; otherwise None."""
    first = _fields(lines[0], delimiter)
    if not any(_is_value(field) for field in first):
        return None
    return tuple(f"column_{number}" for number in range(1, len(first) + 1))


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == WHITESPACE:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_value(field: str) -> bool:
    """Whether a field is a number or a date, which is no column name."""
    is_number = number(pl.Series([field]))[0] is not None
    return is_number or re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?", field) is not None
