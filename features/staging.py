"""A source's rows on their way in: checked in one streaming pass, divided as they will be stored.

`intake` stages every table of an import before it touches the dataset, and merges part by part.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.quality import Rule, mark, split, standard_rules
from features.storage import part_count, part_of
from features.tables import TABLES

_PART = "#part"


@dataclass(frozen=True)
class SourceTable:
    """One canonical table as a source read it.

    Attributes
    ----------
    name
        The canonical table.
    frame
        Its rows, columns named and typed as in `features.tables`; further ones serve the
        rules alone, but where the table is open-ended. A lazy frame is read as a stream.
    rules
        The source's own reasons to keep rows out, besides those of the table.
    touched
        Rows changed by a rule of the source, by rule.
    unique
        Whether the source guarantees that no key occurs twice.
    """

    name: str
    frame: pl.DataFrame | pl.LazyFrame
    rules: list[Rule] = field(default_factory=list)
    touched: dict[str, int] = field(default_factory=dict)
    unique: bool = False


@dataclass(frozen=True)
class Staged:
    """A source's table, checked and divided, on disk.

    Attributes
    ----------
    source
        Where it came from.
    folder
        Holds a folder of Parquet files for each part, and `rejected` for what failed.
    schema
        Columns and types of the rows that passed.
    read
        Number of rows that came.
    parts
        Into how many parts those that passed are divided.
    reasons
        Failing rows by reason.
    """

    source: SourceTable
    folder: Path
    schema: pl.Schema
    read: int
    parts: int
    reasons: dict[str, int]

    def part(self, number: int) -> pl.DataFrame:
        """Return the rows of one part, in the order in which they came."""
        files = sorted((self.folder / str(number)).glob("*.parquet"))
        return pl.concat([pl.DataFrame(schema=self.schema), *map(pl.read_parquet, files)])


def stage(
    source: SourceTable, folder: Path, rows_per_part: int, *, at_least: int, beside: int
) -> Staged:
    """Check a table's rows and divide those that pass, on disk.

    Parameters
    ----------
    folder
        Where to; it is made.
    rows_per_part
        About how many rows a part is to hold.
    at_least
        Into how many parts the table is divided already.
    beside
        How many rows other sources of the same import brought for this table.
    """
    table = TABLES[source.name]
    frame = source.frame.lazy()
    arriving = frame.collect_schema()
    rules = [*source.rules, *standard_rules(table, arriving.names())]
    kept = {
        name: dtype for name, dtype in arriving.items() if table.open_ended or name in table.columns
    }
    folder.mkdir(parents=True)
    (folder / "rejected").mkdir()
    checked = folder / "checked.parquet"
    marked = mark(frame, rules)
    if isinstance(source.frame, pl.DataFrame):
        # It is in memory whole already: a detour by the disk would only take time.
        marked = marked.collect().lazy()
    else:
        group = -(-rows_per_part // 4)
        marked.sink_parquet(checked, compression="lz4", row_group_size=group)
        marked = pl.scan_parquet(checked)
    read = marked.select(pl.len()).collect().item()
    parts = max(at_least, part_count(beside + read, rows_per_part))
    reasons: Counter[str] = Counter()
    for number, batch in enumerate(_batches(marked, read, rows_per_part)):
        good, bad = split(table, batch, rules)
        reasons.update(dict(bad.get_column("reason").value_counts().iter_rows()))
        file = f"{number:06d}.parquet"
        if bad.height:
            bad.write_parquet(folder / "rejected" / file)
        placed = good.select(*kept, part_of(table, list(kept), parts).alias(_PART))
        for (part,), rows in placed.partition_by(_PART, as_dict=True, include_key=False).items():
            (folder / str(part)).mkdir(exist_ok=True)
            rows.write_parquet(folder / str(part) / file, compression="lz4")
    checked.unlink(missing_ok=True)
    return Staged(source, folder, pl.Schema(kept), read, parts, dict(reasons))


def _batches(marked: pl.LazyFrame, rows: int, size: int) -> Iterator[pl.DataFrame]:
    for start in range(0, rows, size):
        yield marked.slice(start, size).collect()
