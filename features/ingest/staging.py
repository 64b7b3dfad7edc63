"""A source's rows on their way in: read as a stream, checked and divided as they will be stored.

`intake` stages every table of an import before it touches the dataset, and merges part by part.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from features.errors import InvalidInput
from features.ingest.forgotten import ANONYMOUS, Forgotten
from features.ingest.line_numbers import FILE as LINE_FILE
from features.ingest.line_numbers import LineIdentity
from features.ingest.validation import (
    FAULT,
    FILE,
    FORGOTTEN,
    QUARANTINE_SCHEMA,
    RAW,
    ROW,
    Rule,
    divide,
    standard_rules,
)
from features.storage.snapshots import part_count, part_number
from features.tables import TABLES, Table

BATCH_ROWS = 250_000
# A source that fills a batch may be long, and is divided finely from its beginning: to put parts
# together is to move files, to divide them further is to write all rows again.
FINE_PARTS = 16
_PART = "#part"


@dataclass(frozen=True)
class SourceTable:
    """One canonical table as a source read it.

    Attributes
    ----------
    name
        The canonical table.
    frame
        Its rows. A lazy frame is read as a stream, a batch at a time.
    rules
        The source's own reasons to keep rows out, besides those of the table.
    touched
        Rows changed by a rule of the source, by rule, where the source knows.
    unique
        Whether the source guarantees that no key occurs twice.
    shape
        Makes of a batch of the frame's rows canonical ones, columns named and typed as in
        `features.tables`; further ones serve the rules alone, but where the table is
        open-ended. It may leave out what is no row of the table. By default rows are
        canonical as they come.
    changed, noted
        What was changed, or is worth a look, by the name of a column of flags that `shape`
        adds: their accepted rows are counted.
    lines
        By what a line of an order is recognised, where the source numbers none.
    number
        Which of the table's sources it is.
    places
        Files that were read, as FILE names them.
    asked
        The line of a mapping that asks for a column, by column.
    """

    name: str
    frame: pl.DataFrame | pl.LazyFrame
    rules: list[Rule] = field(default_factory=list)
    touched: dict[str, int] = field(default_factory=dict)
    unique: bool = False
    shape: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    changed: dict[str, str] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    lines: LineIdentity | None = None
    number: int = 0
    places: tuple[str | None, ...] = (None,)
    asked: Mapping[str, int | None] = field(default_factory=dict)


@dataclass
class Staged:
    """A source's table, checked and divided, on disk.

    Attributes
    ----------
    source
        Where it came from.
    folder
        Holds `<parts>/<part>/<batch>.parquet`, and `rejected` for what failed.
    schema
        Columns and types of the rows that passed, with LINE_FILE where lines need numbers.
    read, failing, dropped, repeated
        Numbers of rows: that came, that failed, that were meant to be kept out, that told the
        same thing again.
    touched, noted
        Accepted rows that were changed, or are worth a look, by what was.
    """

    source: SourceTable
    folder: Path
    schema: pl.Schema
    read: int = 0
    failing: int = 0
    dropped: int = 0
    repeated: int = 0
    touched: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        """Number of rows that are staged."""
        return self.read - self.failing - self.dropped - self.repeated

    @property
    def rejected(self) -> list[Path]:
        """Files of the rows that failed."""
        return sorted((self.folder / "rejected").glob("*.parquet"))

    def settle(self, parts: int) -> None:
        """Bring what was staged in another number of parts, not knowing how many rows come."""
        table = TABLES[self.source.name]
        for folder in sorted(self.folder.iterdir()):
            if folder.name in ("rejected", str(parts)):
                continue
            for file in sorted(folder.glob("*/*.parquet")):
                if int(folder.name) > parts:
                    # Both are powers of two: rows of part p of many are in p modulo few.
                    part = int(file.parent.name)
                    target = self.folder / str(parts) / str(part % parts)
                    target.mkdir(parents=True, exist_ok=True)
                    file.rename(target / f"{file.stem}-{part:06d}.parquet")
                    continue
                _write_parts(table, pl.read_parquet(file), self.folder, parts, file.name)
                file.unlink()

    def part(self, number: int, parts: int) -> pl.DataFrame:
        """Return the rows of one part; of one key they are in the order in which they came."""
        files = sorted((self.folder / str(parts) / str(number)).glob("*.parquet"))
        return pl.concat([pl.DataFrame(schema=self.schema), *map(pl.read_parquet, files)])


def stage(
    source: SourceTable,
    folder: Path,
    rows_per_part: int,
    forgotten: Forgotten,
    *,
    at_least: int,
    beside: int,
) -> Staged:
    """Check a table's rows and divide those that pass, on disk.

    Parameters
    ----------
    folder
        Where to; it is made.
    rows_per_part
        About how many rows a part is to hold.
    forgotten
        People of whom nothing is to be kept.
    at_least
        Into how many parts the table is divided already.
    beside
        How many rows other sources of the same import brought for this table.
    """
    table = TABLES[source.name]
    (folder / "rejected").mkdir(parents=True)
    arriving = _shaped(source, pl.DataFrame(schema=source.frame.lazy().collect_schema()))
    rules = [
        *forgotten.rules(table),
        *source.rules,
        *(
            replace(rule, mapping_line=source.asked.get(rule.column))
            for rule in standard_rules(table, arriving.columns)
        ),
    ]
    kept = [name for name in arriving.columns if _is_kept(table, name)]
    wanted = [pl.col(name) for name in kept]
    if source.lines is not None:
        wanted.append(pl.col(FILE).alias(LINE_FILE))
    staged = Staged(source, folder, arriving.select(wanted).schema)
    for number, batch in enumerate(_batches(source, rows_per_part)):
        shaped = forgotten.leave_out(table, _shaped(source, batch))
        good, bad = divide(table, shaped, rules, first_row=staged.read, source=source.number)
        file = f"{number:06d}.parquet"
        if bad.height:
            bad.write_parquet(folder / "rejected" / file)
            staged.dropped += int(bad.get_column("dropped").sum())
        staged.read += shaped.height
        staged.failing += bad.height - int(bad.get_column("dropped").sum())
        for flags, counts in ((source.changed, staged.touched), (source.noted, staged.noted)):
            for column, text in flags.items():
                counts[text] += int(good.get_column(column).sum())
        if FORGOTTEN in good.columns:
            staged.touched[ANONYMOUS] += int(good.get_column(FORGOTTEN).sum())
        rows = good.select(wanted).cast(staged.schema)
        if table.open_ended:
            rows = condensed(rows, list(table.key))
            staged.repeated += good.height - rows.height
        parts = max(at_least, part_count(beside + staged.kept, rows_per_part))
        if batch.height >= BATCH_ROWS:
            parts = max(parts, FINE_PARTS)
        _write_parts(table, rows, folder, parts, file)
    return staged


def condensed(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Make one row of all that tell of one thing: of each attribute the last that was told.

    Order lines mention a product over and over, now and then without its name.
    """
    if not rows.select(key).is_duplicated().any():
        return rows
    told = pl.all().exclude(key).drop_nulls().last()
    return rows.group_by(key, maintain_order=True).agg(told).select(rows.columns)


def rejected_rows(staged: list[Staged]) -> pl.LazyFrame:
    """Return the report of rows that failed."""
    files = [pl.scan_parquet(file) for one in staged for file in one.rejected]
    return pl.concat([pl.LazyFrame(schema=QUARANTINE_SCHEMA), *files])


def _batches(source: SourceTable, rows_per_part: int) -> Iterator[pl.DataFrame]:
    if isinstance(source.frame, pl.DataFrame):
        yield from source.frame.iter_slices(rows_per_part)
        return
    size = min(rows_per_part, BATCH_ROWS)
    try:
        yield from source.frame.collect_batches(chunk_size=size, maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        cause = str(error).splitlines()[0]
        places = ", ".join(place for place in source.places if place) or "its source"
        raise InvalidInput(
            f"{source.name} cannot be read to the end of {places}: {cause}", field=source.name
        ) from error


def _shaped(source: SourceTable, batch: pl.DataFrame) -> pl.DataFrame:
    return batch if source.shape is None else source.shape(batch)


def _is_kept(table: Table, name: str) -> bool:
    """Whether a column is stored: the table's own, and in open-ended ones what a source adds."""
    if table.open_ended:
        return name not in (FILE, ROW, FAULT) and not name.startswith((RAW, "source.", "#"))
    return name in table.columns


def _write_parts(table: Table, rows: pl.DataFrame, folder: Path, parts: int, file: str) -> None:
    names = [name for name in rows.columns if name in table.columns]
    placed = rows.with_columns(part_number(table, names, parts).alias(_PART))
    for (part,), mine in placed.partition_by(_PART, as_dict=True, include_key=False).items():
        target = folder / str(parts) / str(part)
        target.mkdir(parents=True, exist_ok=True)
        mine.write_parquet(target / file, compression="lz4")
