"""File source: a glob of CSV (plain or gzipped), Parquet or Excel files in, one lazy frame out.

Each row has its origin (SOURCE_FILE, SOURCE_ROW) and FAULT, null if the row is readable.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import fastexcel
import polars as pl

from features.errors import InvalidInput
from features.ingest.source_columns import FAULT, SOURCE_FILE, SOURCE_LINE, SOURCE_ROW
from features.ingest.sources.csv_header import (
    SEARCHED_LINES,
    complete_names,
    find_header_row,
    is_named,
)
from features.ingest.sources.csv_text import CsvOptions, scan_csv

_CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_EXCEL = (".xlsx", ".xlsm", ".xls")


def scan_files(
    folder: Path,
    pattern: str,
    columns: list[str],
    *,
    options: CsvOptions,
    scratch: Path,
    hashed: bool = False,
) -> pl.LazyFrame:
    """Scan the named columns of all files of a glob, sorted by file name.

    Text files have string columns; Parquet files keep their types. Only Excel sheets are held
    in memory.

    Parameters
    ----------
    folder
        Base of a relative glob.
    scratch
        Folder for rewritten files; it must outlive the frame.
    hashed
        Whether to add SOURCE_LINE, which tells rows apart that are equal in the named columns.

    Raises
    ------
    InvalidInput
        If no file matches, or a file is empty, unreadable or lacks a column.
    """
    frames = []
    for path in match_files(folder, pattern):
        if path.stat().st_size == 0:
            raise InvalidInput(f"{path} is empty.", field="path")
        frame, names = scan_file(path, options, scratch, columns)
        require_columns(str(path), names, columns)
        file = pl.lit(display_path(path, folder)).alias(SOURCE_FILE)
        line = [hash_line([name for name in names if is_named(name)])] if hashed else []
        frames.append(frame.select(file, SOURCE_ROW, FAULT, *columns, *line))
    # Types may differ between Parquet files of one glob.
    return pl.concat(frames, how="vertical_relaxed") if len(frames) > 1 else frames[0]


def hash_line(names: list[str]) -> pl.Expr:
    """Return SOURCE_LINE, the hash of some columns of a row."""
    return pl.struct(names).hash().alias(SOURCE_LINE)


def match_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a glob, sorted.

    Raises
    ------
    InvalidInput
        If no file matches.
    """
    root = Path(folder.anchor) if Path(pattern).is_absolute() else folder
    relative = str(Path(pattern).relative_to(root)) if root != folder else pattern
    paths = sorted(path for path in root.glob(relative) if path.is_file())
    if not paths:
        raise InvalidInput(f"path = {pattern!r} matches no file in {folder}.", field="path")
    return paths


def display_path(path: Path, folder: Path) -> str:
    """Return a path for display: relative to the mapping's folder if it is inside."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def is_text(path: Path) -> bool:
    """Whether a file is read as CSV."""
    return path.name.lower().endswith(_CSV)


def require_columns(source: str, names: list[str], columns: list[str]) -> None:
    """Check that a source has all columns that the mapping names.

    Raises
    ------
    InvalidInput
        With the missing column and the existing ones.
    """
    for column in columns:
        if f"{column} [1]" in names:
            raise InvalidInput(
                f"{source} names the column {column!r} more than once; map {column + ' [1]'!r}, "
                f"{column + ' [2]'!r} or another of them.",
                field=column,
            )
        if column not in names:
            raise InvalidInput(
                f"{source} has no column {column!r}, which the mapping names; "
                f"it has {', '.join(filter(is_named, names))}.",
                field=column,
            )


def scan_file(
    path: Path, options: CsvOptions, scratch: Path, expected: Sequence[str] = ()
) -> tuple[pl.LazyFrame, list[str]]:
    """Scan one file; returns the frame and the file's column names.

    Parameters
    ----------
    expected
        Names of columns by which a header is found below title rows.

    Raises
    ------
    InvalidInput
        If the file type is unknown or the file cannot be read.
    """
    name = path.name.lower()
    if is_text(path):
        return scan_csv(path, options, scratch, expected)
    if not name.endswith(_PARQUET + _EXCEL):
        raise InvalidInput(
            f"{path} is of an unknown type; use {', '.join(_CSV + _PARQUET + _EXCEL)}.",
            field="path",
        )
    first = 1
    try:
        if name.endswith(_PARQUET):
            frame = pl.scan_parquet(path, glob=False)
        else:
            frame, first = _read_sheet(path, options, expected)
        names = frame.collect_schema().names()
    except (
        pl.exceptions.PolarsError,
        fastexcel.FastExcelError,
        BadZipFile,
        OSError,
    ) as error:
        cause = str(error).splitlines()[0]
        raise InvalidInput(f"{path} cannot be read: {cause}", field="path") from error
    located = frame.with_row_index(SOURCE_ROW, offset=first).with_columns(
        pl.col(SOURCE_ROW).cast(pl.Int64), pl.lit(None, dtype=pl.String).alias(FAULT)
    )
    return located, names


def _read_sheet(
    path: Path, options: CsvOptions, expected: Sequence[str]
) -> tuple[pl.LazyFrame, int]:
    """Read the first sheet of a workbook; returns its records and the row of the first one."""
    # Strings, so that a column of mixed types keeps every value as displayed.
    sheet = pl.read_excel(path, has_header=False, infer_schema_length=0)
    rows = [[cell or "" for cell in row] for row in sheet.head(SEARCHED_LINES).rows()]
    if options.header is not None:
        index, names = (options.skip_rows or 0) - 1, list(options.header)
    else:
        found = options.skip_rows
        if found is None:
            found = find_header_row(rows, 0, expected)
        if found is None or found >= len(rows):
            raise InvalidInput(f"{path} is empty; a row should name the columns.", field="path")
        index, names = found, complete_names([cell.strip() for cell in rows[found]])
    renamed = dict(zip(sheet.columns, names, strict=False))
    return sheet.slice(index + 1).rename(renamed).lazy(), index + 2
