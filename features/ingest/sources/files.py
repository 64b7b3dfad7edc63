"""Files named by a glob: csv (also gz), parquet and xlsx, one lazy frame out.

Used for tables of a mapping file that have a `path`. FILE, ROW and FAULT say of each row
where it stood and whether it could be read.
"""

from pathlib import Path
from zipfile import BadZipFile

import fastexcel
import polars as pl

from features.errors import InvalidInput
from features.ingest.sources.csv_text import CsvOptions, scan_csv
from features.ingest.validation import FAULT, FILE, ROW

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
) -> pl.LazyFrame:
    """Read the named columns of all files of a glob, in the order of their names.

    Text files give strings; parquet keeps its types. The frame is lazy: nothing but a
    sheet is held in memory.

    Parameters
    ----------
    folder
        What the glob is relative to.
    scratch
        A folder for what has to be rewritten on the way; it must outlive the frame.

    Raises
    ------
    InvalidInput
        If no file matches, one is empty or unreadable, or lacks a column.
    """
    frames = []
    for path in matching(folder, pattern):
        if path.stat().st_size == 0:
            raise InvalidInput(f"{path} is empty.", field="path")
        frame, names = scan_file(path, options, scratch)
        require_columns(str(path), names, columns)
        frames.append(frame.select(pl.lit(shown(path, folder)).alias(FILE), ROW, FAULT, *columns))
    # Files of one glob may differ in types where nothing states them.
    return pl.concat(frames, how="vertical_relaxed") if len(frames) > 1 else frames[0]


def matching(folder: Path, pattern: str) -> list[Path]:
    """Name the files of a glob, sorted.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    root = Path(folder.anchor) if Path(pattern).is_absolute() else folder
    relative = str(Path(pattern).relative_to(root)) if root != folder else pattern
    paths = sorted(path for path in root.glob(relative) if path.is_file())
    if not paths:
        raise InvalidInput(f"path = {pattern!r} matches no file in {folder}.", field="path")
    return paths


def shown(path: Path, folder: Path) -> str:
    """Name a file as a person who knows the mapping's folder would."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def is_text(path: Path) -> bool:
    """Whether a file is read as CSV."""
    return path.name.lower().endswith(_CSV)


def require_columns(place: str, names: list[str], columns: list[str]) -> None:
    """Check that a place has all columns that the mapping names.

    Raises
    ------
    InvalidInput
        Naming the column that is missing and those that are there.
    """
    for column in columns:
        if column not in names:
            raise InvalidInput(
                f"{place} has no column {column!r}, which the mapping names; "
                f"it has {', '.join(names)}.",
                field=column,
            )


def scan_file(path: Path, options: CsvOptions, scratch: Path) -> tuple[pl.LazyFrame, list[str]]:
    """Read one file, and name its columns.

    Raises
    ------
    InvalidInput
        If it is of no known kind or cannot be read.
    """
    name = path.name.lower()
    if is_text(path):
        return scan_csv(path, options, scratch)
    if not name.endswith(_PARQUET + _EXCEL):
        raise InvalidInput(
            f"{path} is of no known kind; use {', '.join(_CSV + _PARQUET + _EXCEL)}.", field="path"
        )
    try:
        if name.endswith(_PARQUET):
            frame = pl.scan_parquet(path, glob=False)
            names = frame.collect_schema().names()
        else:
            # As text, so that a column of mixed kinds keeps every value as it is shown.
            sheet = pl.read_excel(path, infer_schema_length=0)
            frame, names = sheet.lazy(), sheet.columns
    except (
        pl.exceptions.PolarsError,
        fastexcel.FastExcelError,
        BadZipFile,
        OSError,
    ) as error:
        cause = str(error).splitlines()[0]
        raise InvalidInput(f"{path} cannot be read: {cause}", field="path") from error
    # A sheet's first row is its header; a parquet file has none.
    first = 1 if name.endswith(_PARQUET) else 2
    located = frame.with_row_index(ROW, offset=first).with_columns(
        pl.col(ROW).cast(pl.Int64), pl.lit(None, dtype=pl.String).alias(FAULT)
    )
    return located, names
