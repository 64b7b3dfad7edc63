"""CSV as shops export it: any encoding and delimiter, broken rows marked rather than fatal.

A path in, a lazy frame of strings out. A regular file goes straight to Polars; any other is
rewritten line by line, so that one broken quote spoils one row and not the rest of the file.
"""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InvalidInput

FILE = "source.file"
ROW = "source.row"
FAULT = "source.fault"

_CHUNK_BYTES = 1 << 22
_BATCH_ROWS = 50_000
# A quote that is not closed within so many lines or characters was opened by mistake.
_RECORD_LINES = 100
_RECORD_CHARS = 1 << 17
_DELIMITERS = (",", ";", "\t", "|")
_DAMAGED = "\ufffd"


@dataclass(frozen=True)
class Survey:
    """What one pass over a file's bytes found: how to read it, and whether it is regular."""

    encoding: str
    delimiter: str
    header: list[str]
    regular: bool


def scan_csv(
    path: Path, encoding: str | None, delimiter: str | None, scratch: Path
) -> tuple[pl.LazyFrame, list[str]]:
    """Read a file as strings, with ROW (the line in the file) and FAULT (null where sound).

    Parameters
    ----------
    scratch
        A folder for the rewritten form of an irregular file; it must outlive the frame.

    Returns
    -------
    The lazy frame, and the names in the file's header.

    Raises
    ------
    InvalidInput
        If the file is empty, its header names a column twice, or its compression is broken.
    """
    try:
        survey = _survey(path, encoding, delimiter)
        if survey.regular:
            return _fast(path, survey), survey.header
        rewritten = scratch / f"{len(list(scratch.iterdir()))}.parquet"
        _rewrite(path, survey, rewritten)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{path} is cut off or damaged: its compressed content ends early ({error}). "
            "Fetch it again.",
            field="path",
        ) from error
    return pl.scan_parquet(rewritten), survey.header


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _survey(path: Path, encoding: str | None, delimiter: str | None) -> Survey:
    """Read all bytes once: which encoding, and has each line as many fields as the header."""
    with _open(path) as stream:
        first = stream.readline(_CHUNK_BYTES)
        if encoding is None and first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        plain = encoding is None or codecs.lookup(encoding).name in ("utf-8", "ascii")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        quotes = lines = valid = damaged = fields = 0
        last = b"\n"
        long = False
        mark = (delimiter or _sniff(first.decode("utf-8", "replace"))).encode()
        chunk = first
        while chunk and plain:
            quotes += chunk.count(b'"') + chunk.count(b"\r") - chunk.count(b"\r\n")
            lines += chunk.count(b"\n")
            long |= _has_long_line(chunk)
            fields += chunk.count(mark)
            if not chunk.isascii() or damaged:
                text = decoder.decode(chunk)
                damaged += text.count(_DAMAGED)
                valid += len(chunk) - len(text)
            last, chunk = chunk[-1:], stream.read(_CHUNK_BYTES)
    # A file in UTF-8 with a few broken letters stays UTF-8; one without a sound letter
    # beyond ASCII is what Windows writes.
    found = encoding or ("cp1252" if damaged > valid else "utf-8-sig")
    if plain and encoding is not None:
        found = "utf-8-sig"
    with _open(path) as stream:
        text = next(_lines(stream, found), "")
    mark_text = delimiter or _sniff(text)
    header = _header(path, text, mark_text)
    lines += last != b"\n"
    # A line without its end may be cut off, and is looked at more closely.
    regular = (
        found == "utf-8-sig"
        and plain
        and not quotes
        and not long
        and mark_text.encode() == mark
        and fields == lines * (len(header) - 1)
        and len(header) > 1
    )
    return Survey(found, mark_text, header, regular)


def _has_long_line(chunk: bytes) -> bool:
    """Whether a line may be longer than a record is allowed to be."""
    window = _RECORD_CHARS // 2
    return any(
        chunk.find(b"\n", start, start + window) < 0
        for start in range(0, len(chunk) - window + 1, window)
    )


def _sniff(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _header(path: Path, text: str, delimiter: str) -> list[str]:
    try:
        names = [
            name.strip() for name in next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter))
        ]
    except (StopIteration, csv.Error):
        names = []
    if not any(names):
        raise InvalidInput(
            f"{path} is empty; its first line should name the columns.", field="path"
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InvalidInput(
            f"{path}, line 1: the header names {', '.join(twice)} more than once.", field="path"
        )
    return names


def _lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines with their ends; only the line feed ends one."""
    yield from (
        codecs.getreader(encoding)(stream, "replace")
        if encoding.startswith(("utf-16", "utf-32"))
        else (line.decode(encoding, "replace") for line in stream)
    )


def _fast(path: Path, survey: Survey) -> pl.LazyFrame:
    names = _unique(survey.header)
    # Fields beyond the header land in FAULT.
    return pl.scan_csv(
        path,
        separator=survey.delimiter,
        quote_char=None,
        has_header=False,
        skip_rows=1,
        schema=dict.fromkeys([*names, FAULT], pl.String()),
        missing_columns="insert",
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        row_index_name=ROW,
        row_index_offset=2,
        glob=False,
    ).with_columns(
        pl.col(ROW).cast(pl.Int64),
        pl.when(pl.col(FAULT).is_not_null()).then(pl.lit(_TOO_MANY)).alias(FAULT),
    )


_TOO_MANY = "more fields than the header has columns"
_TOO_FEW = "fewer fields than the header has columns"
_OPEN_QUOTE = "a quote is opened and never closed"
_HUGE = f"a field of more than {_RECORD_CHARS:,} characters"


def _unique(header: list[str]) -> list[str]:
    """Name columns without a name by their place."""
    return [name or f"source.column_{n}" for n, name in enumerate(header, 1)]


def _rewrite(path: Path, survey: Survey, target: Path) -> None:
    names = _unique(survey.header)
    schema = pa.schema(
        [(ROW, pa.int64()), (FAULT, pa.string()), *((name, pa.string()) for name in names)]
    )
    with _open(path) as stream, pq.ParquetWriter(target, schema) as writer:
        rows = _records(stream, survey)
        while batch := list(islice(rows, _BATCH_ROWS)):
            columns = [
                pa.array(column, kind)
                for column, kind in zip(zip(*batch, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.table(columns, schema=schema))


def _records(stream: BinaryIO, survey: Survey) -> Iterator[tuple[int | str | None, ...]]:
    """Yield line number, fault and fields of each record after the header."""
    width = len(survey.header)
    lines = enumerate(_lines(stream, survey.encoding), 1)
    next(lines, None)
    pending: list[tuple[int, str]] = []  # lines read ahead for a quote that never closed
    while True:
        number, text = pending.pop(0) if pending else next(lines, (0, ""))
        if not number:
            return
        fault = None
        if text.count('"') % 2:
            ahead: list[tuple[int, str]] = []
            whole = text
            while (
                whole.count('"') % 2 and len(ahead) < _RECORD_LINES and len(whole) < _RECORD_CHARS
            ):
                line = pending.pop(0) if pending else next(lines, None)
                if line is None:
                    break
                ahead.append(line)
                whole += line[1]
            if whole.count('"') % 2:
                pending = ahead + pending
                fault = _OPEN_QUOTE
            else:
                text = whole
        text = text.rstrip("\r\n")
        if not text.strip():
            continue
        fields = [text] if fault else _fields(text, survey.delimiter)
        while len(fields) > width and not fields[-1]:
            fields.pop()
        if any(len(field) > _RECORD_CHARS for field in fields):
            fields, fault = [field[:100] for field in fields], _HUGE
        elif not fault and len(fields) != width:
            fault = _TOO_MANY if len(fields) > width else _TOO_FEW
        padded = [*fields[:width], *[None] * (width - len(fields))]
        yield (number, fault, *(field or None for field in padded))


def _fields(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except csv.Error:
        return text.split(delimiter)
