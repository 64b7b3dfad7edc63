"""CSV as shops export it: any encoding and delimiter, broken rows marked rather than fatal.

A path in, a lazy frame of strings out, whatever the file's size. A regular file goes straight
to Polars; any other is rewritten line by line, so that one broken quote spoils one row and not
the rest of the file.
"""

import codecs
import csv
import gzip
import re
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
from features.ingest.sources.csv_scan import (
    CHUNK_BYTES,
    LINE_BYTES,
    TOO_FEW,
    TOO_MANY,
    Survey,
    survey,
)
from features.ingest.validation import FAULT, ROW

WHITESPACE = "whitespace"

_BATCH_ROWS = 50_000
# A quote that is not closed within so many lines was opened by mistake.
_RECORD_LINES = 100
DELIMITERS = (",", ";", "\t", "|")
_DAMAGED = "\ufffd"
_OPEN_QUOTE = "a quote is opened and never closed"
_HUGE = f"a field of more than {LINE_BYTES:,} characters"


@dataclass(frozen=True)
class CsvOptions:
    """What a mapping says of its CSV files; what it does not is found out.

    Attributes
    ----------
    encoding
        Such as cp1252.
    delimiter
        One character, or `whitespace`.
    header
        The columns' names, where the first line does not hold them.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: tuple[str, ...] | None = None


def scan_csv(path: Path, options: CsvOptions, scratch: Path) -> tuple[pl.LazyFrame, list[str]]:
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
        plain = _plain(path, options, scratch)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{path} is cut off or damaged: its compressed content ends early ({error}). "
            "Fetch it again.",
            field="path",
        ) from error
    with plain.open("rb") as stream:
        first = stream.readline(LINE_BYTES).decode("utf-8-sig", "replace")
    delimiter = "\t" if options.delimiter == WHITESPACE else options.delimiter or sniff(first)
    names = list(options.header) if options.header else _header(path, first, delimiter)
    headed = options.header is None
    found = survey(plain, delimiter, len(names))
    if found.regular:
        return _fast(plain, found, names, delimiter, headed=headed), names
    rewritten = _next(scratch, ".parquet")
    _rewrite(plain, names, delimiter, rewritten, headed=headed)
    return pl.scan_parquet(rewritten), names


def sniff(header: str) -> str:
    """Find the delimiter of a first line: what stands most often outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def detect_encoding(path: Path) -> str:
    """Find out the encoding from all bytes of a file, which may be gzipped."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    valid = damaged = 0
    with open_bytes(path) as stream:
        chunk = stream.read(CHUNK_BYTES)
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if chunk.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        while chunk:
            if not chunk.isascii() or damaged:
                text = decoder.decode(chunk)
                damaged += text.count(_DAMAGED)
                valid += len(chunk) - len(text)
            chunk = stream.read(CHUNK_BYTES)
    # A file in UTF-8 with a few broken letters stays UTF-8; one without a sound letter
    # beyond ASCII is what Windows writes.
    return "cp1252" if damaged > valid else "utf-8"


def open_bytes(path: Path) -> BinaryIO:
    """Open a file that may be gzipped."""
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _next(scratch: Path, suffix: str) -> Path:
    return scratch / f"{len(list(scratch.iterdir()))}{suffix}"


def _plain(path: Path, options: CsvOptions, scratch: Path) -> Path:
    """Return the file as UTF-8 with a one-letter delimiter: itself, or a copy."""
    encoding = codecs.lookup(options.encoding or detect_encoding(path)).name
    blanks = options.delimiter == WHITESPACE
    marked = encoding == "utf-8-sig" and options.header is not None
    if path.suffix != ".gz" and encoding in ("utf-8", "utf-8-sig", "ascii") and not blanks:
        if not marked:
            return path
    elif encoding == "ascii":
        encoding = "utf-8"
    copy = _next(scratch, ".csv")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    rest = ""
    with open_bytes(path) as stream, copy.open("wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            text = decoder.decode(chunk)
            if blanks:
                whole, end, rest = (rest + text).rpartition("\n")
                text = _single(whole + end)
            out.write(text.encode())
        out.write((_single(rest) + decoder.decode(b"", final=True)).encode())
    return copy


def _single(lines: str) -> str:
    """Put one tab for any number of blanks, and none at a line's ends."""
    inner = re.sub(r"[ \t]+", "\t", lines)
    return re.sub(r"^\t|\t(?=\r?$)", "", inner, flags=re.MULTILINE)


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


def _fast(
    path: Path, found: Survey, names: list[str], delimiter: str, *, headed: bool
) -> pl.LazyFrame:
    columns = _unique(names)
    if found.lines <= int(headed):
        schema = {ROW: pl.Int64(), **dict.fromkeys([*columns, FAULT], pl.String())}
        return pl.LazyFrame(schema=schema)
    frame = pl.scan_csv(
        path,
        separator=delimiter,
        quote_char='"' if found.quoted else None,
        has_header=False,
        skip_rows=int(headed),
        # The survey knows which lines have fewer fields or more.
        schema=dict.fromkeys(columns, pl.String()),
        missing_columns="insert",
        extra_columns="ignore",
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        row_index_name=ROW,
        row_index_offset=1 + int(headed),
        glob=False,
    ).with_columns(pl.col(ROW).cast(pl.Int64))
    if found.blank:
        frame = frame.filter(~pl.col(ROW).is_in(found.blank))
    fault = pl.lit(None, dtype=pl.String)
    if found.broken:
        fault = pl.col(ROW).replace_strict(found.broken, default=None, return_dtype=pl.String)
    return frame.with_columns(fault.alias(FAULT))


def _unique(names: list[str]) -> list[str]:
    """Name columns without a name by their place."""
    return [name or f"source.column_{n}" for n, name in enumerate(names, 1)]


def _rewrite(path: Path, names: list[str], delimiter: str, target: Path, *, headed: bool) -> None:
    columns = _unique(names)
    schema = pa.schema(
        [(ROW, pa.int64()), (FAULT, pa.string()), *((name, pa.string()) for name in columns)]
    )
    with path.open("rb") as stream, pq.ParquetWriter(target, schema) as writer:
        lines = enumerate(_lines(stream), 1)
        if headed:
            next(lines, None)
        rows = _records(lines, delimiter, len(columns))
        while batch := list(islice(rows, _BATCH_ROWS)):
            arrays = [
                pa.array(column, kind)
                for column, kind in zip(zip(*batch, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Lines with their ends; only the line feed ends one, and of a huge one a part is enough."""
    while line := stream.readline(2 * LINE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(2 * LINE_BYTES)
        yield line.decode("utf-8-sig", "replace")


def _records(
    lines: Iterator[tuple[int, str]], delimiter: str, width: int
) -> Iterator[tuple[int | str | None, ...]]:
    """Yield line number, fault and fields of each record."""
    pending: list[tuple[int, str]] = []  # lines read ahead for a quote that never closed
    while True:
        number, text = pending.pop(0) if pending else next(lines, (0, ""))
        if not number:
            return
        fault = None
        if text.count('"') % 2:
            ahead: list[tuple[int, str]] = []
            whole = text
            while whole.count('"') % 2 and len(ahead) < _RECORD_LINES and len(whole) < LINE_BYTES:
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
        fields = [text] if fault else _fields(text, delimiter)
        while len(fields) > width and not fields[-1]:
            fields.pop()
        if any(len(field) > LINE_BYTES for field in fields):
            fields, fault = [field[:100] for field in fields], _HUGE
        elif not fault and len(fields) != width:
            fault = TOO_MANY if len(fields) > width else TOO_FEW
        padded = [*fields[:width], *[None] * (width - len(fields))]
        yield (number, fault, *(field or None for field in padded))


def _fields(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except csv.Error:
        return text.split(delimiter)
