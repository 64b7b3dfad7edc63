"""A sample of a file: portions from its beginning, middle and end, as a frame, quickly.

Any file that `features.ingest.sources` reads; used by `draft`.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import polars as pl

from features.errors import InvalidInput
from features.ingest.sources import parse
from features.ingest.sources.csv_text import (
    WHITESPACE,
    CsvOptions,
    detect_delimiter,
    detect_encoding,
    open_bytes,
)
from features.ingest.sources.files import is_text, scan_file

_PORTION_BYTES = 6 << 20
_ROWS = 200_000
_FURTHER_DELIMITERS = (":", "^", "~", "\x01")


@dataclass(frozen=True)
class Sample:
    """Some rows of a file, and how it has to be read where that is not found out by itself."""

    path: Path
    frame: pl.DataFrame
    delimiter: str | None = None
    header: tuple[str, ...] | None = None

    def renamed(self, names: dict[str, str]) -> "Sample":
        """Return the sample with other names for columns that have none of their own."""
        header = tuple(names.get(name, name) for name in self.header or ())
        return replace(self, frame=self.frame.rename(names), header=header)


def take_sample(path: Path, scratch: Path) -> Sample:
    """Read a sample of a file.

    Raises
    ------
    InvalidInput
        If the file is not there, empty, or of no known kind.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", field="file")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{path} is empty.", field="file")
    if not is_text(path):
        frame, names = scan_file(path, CsvOptions(), scratch)
        rows = frame.select(pl.len()).collect().item()
        step = max(1, rows // 4)
        starts = sorted({0, step, 2 * step, max(0, rows - step)})
        portions = [frame.slice(start, min(step, _ROWS // 4)).collect() for start in starts]
        return Sample(path, pl.concat(portions).select(names).unique(maintain_order=True))
    text = _portions(path)
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = _delimiter(lines[:200])
    header = _missing_header(lines, delimiter)
    cut = scratch / f"{len(list(scratch.iterdir()))}.csv"
    cut.write_text(text, encoding="utf-8")
    frame, names = scan_file(cut, CsvOptions("utf-8", delimiter, header), scratch)
    found = frame.select(names).head(2 * _ROWS).collect()
    told = delimiter if delimiter not in (",", ";", "\t", "|") else None
    return Sample(path, found, told, header)


def alike(files: Sequence[Path]) -> list[list[Path]]:
    """Group files that one glob names and no other file beside them."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        groups.setdefault((path.parent, re.sub(r"\d+", "#", path.name)), []).append(path)
    found = []
    for group in groups.values():
        there = {path.name for path in group}
        matched = {path.name for path in group[0].parent.glob(pattern_of(group).name)}
        found += [sorted(group)] if matched == there else [[path] for path in group]
    return found


def pattern_of(group: Sequence[Path]) -> Path:
    """Name some files of one folder by what their names have in common."""
    names = [path.name for path in group]
    if len(names) == 1:
        return group[0]
    start = _beginning(names)
    end = _beginning([name.removeprefix(start)[::-1] for name in names])[::-1]
    return group[0].parent / f"{start}*{end}"


def _beginning(names: Sequence[str]) -> str:
    """Return what all names begin with."""
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in shared)


def _portions(path: Path) -> str:
    """Return whole lines from the beginning, the middle and the end."""
    encoding = detect_encoding(path)
    with open_bytes(path) as stream:
        first = stream.read(2 * _PORTION_BYTES)
        if path.suffix == ".gz" or len(first) < 2 * _PORTION_BYTES or "16" in encoding:
            text = first.decode(encoding, "replace")
            whole = len(first) < 2 * _PORTION_BYTES
            return text if whole else text[: text.rfind("\n") + 1]
        size = path.stat().st_size
        portions = [first[: first.rfind(b"\n") + 1]]
        for start in (size // 2, size - _PORTION_BYTES):
            stream.seek(max(start, stream.tell()))
            portion = stream.read(_PORTION_BYTES)
            portions.append(portion[portion.find(b"\n") + 1 : portion.rfind(b"\n") + 1])
    return b"".join(portions).decode(encoding, "replace")


def _delimiter(lines: list[str]) -> str:
    """Find what parts the fields, blanks among it where nothing else does."""
    header = lines[0]
    best = detect_delimiter(header)
    if best in header:
        return best
    for mark in _FURTHER_DELIMITERS:
        if mark in header and len({line.count(mark) for line in lines}) == 1:
            return mark
    widths = {len(line.split()) for line in lines}
    return WHITESPACE if len(widths) == 1 and widths != {1} else best


def _missing_header(lines: list[str], delimiter: str) -> tuple[str, ...] | None:
    """Name the columns where the first line is a record like the others."""
    first = _fields(lines[0], delimiter)
    if not any(_is_value(field) for field in first):
        return None
    return tuple(f"column_{number}" for number in range(1, len(first) + 1))


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == WHITESPACE:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_value(field: str) -> bool:
    """Whether a field is a number or a date, which no column is called."""
    number = parse.number(pl.Series([field]), ".")[0] is not None
    return number or re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?", field) is not None
