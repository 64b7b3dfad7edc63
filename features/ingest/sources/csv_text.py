"""CSV files of any encoding and delimiter: a path in, a lazy frame of strings out.

Unreadable rows are marked with FAULT instead of failing the file. A regular file is scanned by
Polars directly; any other is rewritten line by line, so that a misplaced quote affects one row.
"""

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InvalidInput
from features.ingest.source_columns import FAULT, SOURCE_ROW
from features.ingest.sources.csv_header import SEARCHED_LINES, Header, find_header
from features.ingest.sources.csv_scan import (
    CHUNK_BYTES,
    LINE_BYTES,
    TOO_FEW,
    TOO_MANY,
    CsvStructure,
    inspect_csv,
)

WHITESPACE = "whitespace"

_BATCH_ROWS = 50_000
# A quote that is not closed within this many lines is treated as a typing error.
_MAX_RECORD_LINES = 100
_REPLACEMENT = "\ufffd"
_OPEN_QUOTE = "a quote is opened and never closed"
_LONG_FIELD = f"a field of more than {LINE_BYTES:,} characters"
_ZERO_SHARE = 0.2
_SHOWN_CHARS = 100  # of a field that is too long


@dataclass(frozen=True)
class CsvOptions:
    """Options of a mapping for CSV files; None is detected from the file.

    Attributes
    ----------
    encoding
        Such as cp1252.
    delimiter
        One character, or `whitespace` for any number of blanks and tabs.
    header
        Column names, for files whose first line is a record.
    skip_rows
        Number of lines above the header.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: tuple[str, ...] | None = None
    skip_rows: int | None = None


def scan_csv(
    path: Path, options: CsvOptions, scratch: Path, expected: Sequence[str] = ()
) -> tuple[pl.LazyFrame, list[str]]:
    """Scan a file as strings, with SOURCE_ROW (line number) and FAULT (null if readable).

    Parameters
    ----------
    scratch
        Folder for the rewritten form of an irregular file; it must outlive the frame.
    expected
        Names of columns by which the header is found below title lines.

    Returns
    -------
    The lazy frame, and the column names of the header.

    Raises
    ------
    InvalidInput
        If the file has no header, or its compressed content is damaged.
    """
    try:
        plain = _as_utf8(path, options, scratch)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{path} is truncated or damaged: its compressed content ends early ({error}). "
            "Obtain the file again.",
            field="path",
        ) from error
    with plain.open("rb") as stream:
        first = [stream.readline(LINE_BYTES) for _ in range(SEARCHED_LINES)]
    lines = [line.decode("utf-8-sig", "replace") for line in first if line]
    delimiter = "\t" if options.delimiter == WHITESPACE else options.delimiter
    header = find_header(
        lines,
        delimiter,
        expected=expected,
        skip_rows=options.skip_rows,
        names=options.header,
    )
    if header is None:
        raise InvalidInput(f"{path} is empty; a line should name the columns.", field="path")
    structure = inspect_csv(plain, header.delimiter, len(header.names))
    if structure.regular:
        return _scan_regular(plain, structure, header), header.names
    rewritten = _scratch_file(scratch, ".parquet")
    _rewrite(plain, header, rewritten)
    return pl.scan_parquet(rewritten), header.names


def detect_encoding(path: Path) -> str:
    """Detect the encoding from all bytes of a file, which may be gzipped."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    valid = damaged = 0
    with open_bytes(path) as stream:
        chunk = stream.read(CHUNK_BYTES)
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if chunk.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if chunk.count(b"\0") > _ZERO_SHARE * len(chunk):
            # Without a mark, the zero byte of most letters tells which one comes first.
            return "utf-16-be" if chunk[::2].count(0) > chunk[1::2].count(0) else "utf-16-le"
        while chunk:
            if not chunk.isascii() or damaged:
                text = decoder.decode(chunk)
                damaged += text.count(_REPLACEMENT)
                valid += len(chunk) - len(text)
            chunk = stream.read(CHUNK_BYTES)
    # A UTF-8 file may have some damaged characters; without any valid one beyond ASCII the
    # file has the default encoding of Windows.
    return "cp1252" if damaged > valid else "utf-8"


def open_bytes(path: Path) -> BinaryIO:
    """Open a file that may be gzipped."""
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _scratch_file(scratch: Path, suffix: str) -> Path:
    return scratch / f"{len(list(scratch.iterdir()))}{suffix}"


def _as_utf8(path: Path, options: CsvOptions, scratch: Path) -> Path:
    """Return the file in UTF-8 with a one-character delimiter: itself, or a copy in `scratch`."""
    encoding = codecs.lookup(options.encoding or detect_encoding(path)).name
    whitespace = options.delimiter == WHITESPACE
    # Without a header line to skip, a byte order mark would be part of the first value.
    has_mark = encoding == "utf-8-sig" and options.header is not None
    is_utf8 = encoding in ("utf-8", "utf-8-sig", "ascii")
    if path.suffix != ".gz" and is_utf8 and not whitespace:
        if not has_mark:
            return path
    elif encoding == "ascii":
        encoding = "utf-8"
    copy = _scratch_file(scratch, ".csv")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    rest = ""
    with open_bytes(path) as stream, copy.open("wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            text = decoder.decode(chunk)
            if whitespace:
                lines, newline, rest = (rest + text).rpartition("\n")
                text = _tabs_for_blanks(lines + newline)
            out.write(text.encode())
        out.write((_tabs_for_blanks(rest) + decoder.decode(b"", final=True)).encode())
    return copy


def _tabs_for_blanks(lines: str) -> str:
    """Replace each run of blanks by one tab, and strip runs at the ends of lines."""
    inner = re.sub(r"[ \t]+", "\t", lines)
    return re.sub(r"^\t|\t(?=\r?$)", "", inner, flags=re.MULTILINE)


def _scan_regular(path: Path, structure: CsvStructure, header: Header) -> pl.LazyFrame:
    """Scan a regular file, without its blank lines and with its broken lines marked."""
    if structure.lines <= header.lines:
        schema = {SOURCE_ROW: pl.Int64(), **dict.fromkeys([*header.names, FAULT], pl.String())}
        return pl.LazyFrame(schema=schema)
    frame = pl.scan_csv(
        path,
        separator=header.delimiter,
        quote_char='"' if structure.quoted else None,
        has_header=False,
        skip_lines=header.lines,
        # Lines with fewer or more fields are known from the structure.
        schema=dict.fromkeys(header.names, pl.String()),
        missing_columns="insert",
        extra_columns="ignore",
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        row_index_name=SOURCE_ROW,
        row_index_offset=1 + header.lines,
        glob=False,
    ).with_columns(pl.col(SOURCE_ROW).cast(pl.Int64))
    if structure.blank:
        frame = frame.filter(~pl.col(SOURCE_ROW).is_in(structure.blank))
    fault = pl.lit(None, dtype=pl.String)
    if structure.broken:
        fault = pl.col(SOURCE_ROW).replace_strict(
            structure.broken, default=None, return_dtype=pl.String
        )
    return frame.with_columns(fault.alias(FAULT))


def _rewrite(path: Path, header: Header, target: Path) -> None:
    """Rewrite an irregular file as Parquet."""
    schema = pa.schema(
        [
            (SOURCE_ROW, pa.int64()),
            (FAULT, pa.string()),
            *((name, pa.string()) for name in header.names),
        ]
    )
    with path.open("rb") as stream, pq.ParquetWriter(target, schema) as writer:
        lines = islice(enumerate(_lines(stream), 1), header.lines, None)
        rows = _records(lines, header.delimiter, len(header.names))
        while batch := list(islice(rows, _BATCH_ROWS)):
            arrays = [
                pa.array(column, dtype)
                for column, dtype in zip(zip(*batch, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Yield lines with their line feeds; a line of excessive length is truncated."""
    while line := stream.readline(2 * LINE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(2 * LINE_BYTES)
        yield line.decode("utf-8-sig", "replace")


def _records(
    lines: Iterator[tuple[int, str]], delimiter: str, width: int
) -> Iterator[tuple[int | str | None, ...]]:
    """Yield line number, fault and fields of each record."""
    pending: list[tuple[int, str]] = []  # lines read ahead for a quote that was never closed
    while True:
        number, text = pending.pop(0) if pending else next(lines, (0, ""))
        if not number:
            return
        fault = None
        if text.count('"') % 2:
            ahead: list[tuple[int, str]] = []
            record = text
            while (
                record.count('"') % 2
                and len(ahead) < _MAX_RECORD_LINES
                and len(record) < LINE_BYTES
            ):
                line = pending.pop(0) if pending else next(lines, None)
                if line is None:
                    break
                ahead.append(line)
                record += line[1]
            if record.count('"') % 2:
                pending = ahead + pending
                fault = _OPEN_QUOTE
            else:
                text = record
        text = text.rstrip("\r\n")
        if not text.strip():
            continue
        fields = [text] if fault else _fields(text, delimiter)
        while len(fields) > width and not fields[-1]:
            fields.pop()
        if any(len(field) > LINE_BYTES for field in fields):
            fields, fault = [field[:_SHOWN_CHARS] for field in fields], _LONG_FIELD
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
