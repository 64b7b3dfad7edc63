"""Staging: a source's rows in, validated rows on disk out, partitioned as they will be stored.

All tables of an import are staged before the dataset changes. The staging folder of a dataset
and the files in it are known to this module alone.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from features.errors import InvalidInput
from features.ingest.forgotten import ANONYMOUS, ForgottenCustomers
from features.ingest.line_numbers import LINE_FILE
from features.ingest.quarantine import QUARANTINE_SCHEMA
from features.ingest.repeated_keys import origin_columns
from features.ingest.source_columns import (
    FORGOTTEN,
    RESERVED_PREFIXES,
    SOURCE_FILE,
)
from features.ingest.source_table import SourceTable
from features.ingest.validation import Rule, split_rows, table_rules
from features.storage.snapshots import SOURCE, part_count, part_numbers
from features.tables import TABLES, Table

BATCH_ROWS = 250_000
# A source that fills a batch may be long and starts with many parts: combining parts later moves
# files, whereas splitting them rewrites all rows.
MIN_PARTS_OF_LONG_SOURCE = 16
_FOLDER = "staging"
_REJECTED = "rejected"
_PART = "#part"
_PATH = re.compile(r"(?:file:)?/\S+")


@contextmanager
def staging_folder(dataset_folder: Path) -> Iterator[Path]:
    """Yield an empty staging folder, and remove it at the end."""
    remove_staging(dataset_folder)
    folder = dataset_folder / _FOLDER
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def remove_staging(dataset_folder: Path) -> None:
    """Remove the staging folder that an interrupted import left."""
    shutil.rmtree(dataset_folder / _FOLDER, ignore_errors=True)


@dataclass
class StagedSource:
    """A source's validated rows, partitioned on disk.

    Attributes
    ----------
    source
        The source.
    folder
        Holds `<parts>/<part>/<batch>.parquet`, and the reports of rejected rows.
    schema
        Columns and types of the valid rows, with LINE_FILE where lines need numbers.
    read, failing, dropped, collapsed
        Numbers of rows: read, invalid, excluded on purpose, collapsed into a row with the
        same key.
    touched, noted
        Numbers of valid rows that were modified or have a remark, by rule or remark.
    read_by_file, failing_by_file
        Numbers of rows read, and of invalid rows, by file.
    """

    source: SourceTable
    folder: Path
    schema: pl.Schema
    read: int = 0
    failing: int = 0
    dropped: int = 0
    collapsed: int = 0
    touched: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    read_by_file: Counter[str] = field(default_factory=Counter)
    failing_by_file: Counter[str] = field(default_factory=Counter)

    @property
    def row_count(self) -> int:
        """Number of staged rows."""
        return self.read - self.failing - self.dropped - self.collapsed

    @property
    def file_counts(self) -> dict[str, tuple[int, int]]:
        """Numbers of rows and of invalid rows, by file."""
        return {f: (read, self.failing_by_file[f]) for f, read in self.read_by_file.items()}

    @property
    def rejected_files(self) -> list[Path]:
        """Quarantine reports of the rejected rows, one file per batch."""
        return sorted((self.folder / _REJECTED).glob("*.parquet"))

    def repartition(self, parts: int) -> None:
        """Bring all staged rows into `parts` parts.

        The number of parts may have grown while rows arrived, so that several numbers coexist.
        """
        table = TABLES[self.source.name]
        for folder in sorted(self.folder.iterdir()):
            if folder.name in (_REJECTED, str(parts)):
                continue
            for file in sorted(folder.glob("*/*.parquet")):
                if int(folder.name) > parts:
                    # Both numbers are powers of two: part p of many belongs to p modulo few.
                    part = int(file.parent.name)
                    target = self.folder / str(parts) / str(part % parts)
                    target.mkdir(parents=True, exist_ok=True)
                    file.rename(target / f"{file.stem}-{part:06d}.parquet")
                    continue
                _write_parts(table, pl.read_parquet(file), self.folder, parts, file.name)
                file.unlink()

    def read_part(self, number: int, parts: int) -> pl.DataFrame:
        """Return the rows of one of `parts` parts; rows with one key keep their arrival order."""
        files = sorted((self.folder / str(parts) / str(number)).glob("*.parquet"))
        return pl.concat([pl.DataFrame(schema=self.schema), *map(pl.read_parquet, files)])


def stage_source(
    source: SourceTable,
    folder: Path,
    rows_per_part: int,
    forgotten: ForgottenCustomers,
    *,
    min_parts: int,
    other_rows: int,
) -> StagedSource:
    """Validate a source's rows and write the valid ones to disk, partitioned.

    Parameters
    ----------
    folder
        Target folder; it is created.
    rows_per_part
        Approximate number of rows of a part.
    forgotten
        Erased customers, whose data is not stored.
    min_parts
        Number of parts in which the table is stored.
    other_rows
        Number of rows that other sources of this import staged for the table.
    """
    table = TABLES[source.name]
    (folder / _REJECTED).mkdir(parents=True)
    empty = source.canonical(pl.DataFrame(schema=source.frame.lazy().collect_schema()))
    rules = _rules(source, table, forgotten, empty.columns)
    columns = [pl.col(name) for name in empty.columns if _is_stored(table, name)]
    columns += _origin(source, table, empty.columns)
    # Without the rows, whose memory is free once they are on disk.
    described = replace(source, frame=source.frame.clear())
    staged = StagedSource(described, folder, empty.select(columns).schema)
    for number, batch in enumerate(_batches(source, rows_per_part)):
        rows = forgotten.anonymise(table, source.canonical(batch))
        valid, rejected = split_rows(
            table, rows, rules, first_row=staged.read, source=source.number
        )
        file = f"{number:06d}.parquet"
        if rejected.height:
            rejected.write_parquet(folder / _REJECTED / file)
        dropped = int(rejected.get_column("dropped").sum())
        staged.dropped += dropped
        staged.read += rows.height
        staged.failing += rejected.height - dropped
        _count_files(staged, rows, rejected.filter(~pl.col("dropped")))
        _count_flags(staged, valid)
        stored = valid.select(columns).cast(staged.schema)
        if table.open_ended:
            stored = collapse_by_key(stored, list(table.key))
            staged.collapsed += valid.height - stored.height
        parts = max(min_parts, part_count(other_rows + staged.row_count, rows_per_part))
        if batch.height >= BATCH_ROWS:
            parts = max(parts, MIN_PARTS_OF_LONG_SOURCE)
        _write_parts(table, stored, folder, parts, file)
    return staged


def _origin(source: SourceTable, table: Table, columns: list[str]) -> list[pl.Expr]:
    """Return the columns that tell where rows come from: stored ones, and those for the merge."""
    origin = []
    if source.source is not None:
        origin.append(pl.lit(source.source, dtype=pl.UInt16).alias(SOURCE))
    if source.line_identity is not None:
        origin.append(pl.col(SOURCE_FILE).alias(LINE_FILE))
    elif not (table.open_ended or source.unique):
        origin += origin_columns(columns)
    return origin


def _rules(
    source: SourceTable, table: Table, forgotten: ForgottenCustomers, columns: list[str]
) -> list[Rule]:
    """Return all rules of a source's rows in order of precedence."""
    standard = [
        replace(rule, mapping_line=source.mapping_lines.get(rule.column))
        for rule in table_rules(table, columns)
    ]
    return [*forgotten.rules(table), *source.rules, *standard]


def _count_flags(staged: StagedSource, valid: pl.DataFrame) -> None:
    """Count valid rows by the flags that the source set."""
    source = staged.source
    flags = ((source.touched_flags, staged.touched), (source.noted_flags, staged.noted))
    for texts, counts in flags:
        for column, text in texts.items():
            counts[text] += int(valid.get_column(column).sum())
    if FORGOTTEN in valid.columns:
        staged.touched[ANONYMOUS] += int(valid.get_column(FORGOTTEN).sum())


def _count_files(staged: StagedSource, rows: pl.DataFrame, failing: pl.DataFrame) -> None:
    """Count rows and invalid rows by file."""
    files = staged.source.files
    if len(files) == 1 and files[0] is not None:
        staged.read_by_file[files[0]] += rows.height
        staged.failing_by_file[files[0]] += failing.height
    elif SOURCE_FILE in rows.columns:
        for frame, column, counts in (
            (rows, SOURCE_FILE, staged.read_by_file),
            (failing, "file", staged.failing_by_file),
        ):
            counts.update(dict(frame.group_by(column).len().drop_nulls().rows()))


def collapse_by_key(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return one row per key with the last non-null value of each attribute.

    Order lines mention a product repeatedly, sometimes without its name.
    """
    if not rows.select(key).is_duplicated().any():
        return rows
    last = pl.all().exclude(key).drop_nulls().last()
    return rows.group_by(key, maintain_order=True).agg(last).select(rows.columns)


def rejected_rows(sources: list[StagedSource]) -> pl.LazyFrame:
    """Return the quarantine report of several staged sources."""
    files = [pl.scan_parquet(file) for staged in sources for file in staged.rejected_files]
    return pl.concat([pl.LazyFrame(schema=QUARANTINE_SCHEMA), *files])


def _batches(source: SourceTable, rows_per_part: int) -> Iterator[pl.DataFrame]:
    if isinstance(source.frame, pl.DataFrame):
        yield from source.frame.iter_slices(rows_per_part)
        return
    size = min(rows_per_part, BATCH_ROWS)
    try:
        yield from source.frame.collect_batches(chunk_size=size, maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        # A rewritten file is in a scratch folder; its name would mislead.
        cause = _PATH.sub("the file", str(error).splitlines()[0])
        files = ", ".join(file for file in source.files if file) or "its source"
        raise InvalidInput(
            f"{source.name}: reading {files} failed before its end: {cause}", field=source.name
        ) from error


def _is_stored(table: Table, name: str) -> bool:
    """Whether a column is stored: canonical columns, and attributes of open-ended tables."""
    if table.open_ended:
        return not name.startswith((*RESERVED_PREFIXES, "#"))
    return name in table.columns


def _write_parts(table: Table, rows: pl.DataFrame, folder: Path, parts: int, file: str) -> None:
    numbered = rows.with_columns(part_numbers(table, rows, parts).alias(_PART))
    for (part,), frame in numbered.partition_by(_PART, as_dict=True, include_key=False).items():
        target = folder / str(parts) / str(part)
        target.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(target / file, compression="lz4")
