"""Bring a source's canonical frames into a dataset: check, quarantine, merge, snapshot, report.

Memory is bounded by the size of a part, not of a table: rows are staged on disk, divided by a
hash of their key, and merged part by part with what is stored.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from features.dataset import list_datasets
from features.errors import InvalidInput
from features.locks import job_lock
from features.quality import QUARANTINE_SCHEMA, ImportReport, TableReport, check_share
from features.staging import SourceTable, Staged, stage
from features.storage import (
    ROWS_PER_PART,
    commit_snapshot,
    dataset_folder,
    part_count,
    part_of,
    read_head,
    read_snapshot,
    remove_unnamed,
    scan_parts,
    write_part,
)
from features.tables import TABLES, Table


def import_tables(
    home: Path,
    dataset: str,
    tables: Iterable[SourceTable],
    max_bad_share: float,
    rows_per_part: int = ROWS_PER_PART,
) -> ImportReport:
    """Validate, merge with what is stored, and make a new snapshot.

    An import is idempotent by key: rows already stored are duplicates, rows with a stored
    key and new content replace, and of several rows with one key the last counts. Rejected
    rows are written to `quarantine/<dataset>.parquet`. Whatever ends an import early leaves
    the dataset as it was.

    Parameters
    ----------
    tables
        What came; a table may come from several sources, of which a later one corrects
        an earlier.
    rows_per_part
        About how many rows are held in memory at once; the snapshot's hash depends on it.

    Raises
    ------
    ImportRejected
        If more than `max_bad_share` of a table's rows fail.
    InvalidInput
        If a column arrives with another type than it is stored with.
    Unavailable
        If another import into this dataset runs.
    """
    folder = dataset_folder(home, dataset)
    with job_lock(home, f"import-{dataset}"), _drafts(folder) as drafts:
        known = dataset in list_datasets(home)
        parts = read_snapshot(folder, read_head(folder)) if known else {}
        staged: list[Staged] = []
        read: Counter[str] = Counter()
        for number, source in enumerate(tables):
            name = source.name
            arrived = stage(
                source,
                drafts / str(number),
                rows_per_part,
                at_least=len(parts.get(name, ())),
                beside=read[name],
            )
            check_share(dataset, name, arrived.read, arrived.reasons, max_bad_share)
            read[name] += arrived.read
            staged.append(arrived)
        reports: dict[str, TableReport] = {}
        for arrived in staged:
            name = arrived.source.name
            parts[name], report = _merge(folder, parts.get(name, []), arrived, rows_per_part)
            reports[name] = reports[name] + report if name in reports else report
        _write_quarantine(home, dataset, [arrived.folder / "rejected" for arrived in staged])
        snapshot = commit_snapshot(folder, parts)
        remove_unnamed(folder)
    return ImportReport(dataset, snapshot, reports)


@contextmanager
def _drafts(folder: Path) -> Iterator[Path]:
    """Make an empty folder for what is not stored yet; one left by a crash goes."""
    drafts = folder / "staging"
    shutil.rmtree(drafts, ignore_errors=True)
    drafts.mkdir(parents=True)
    try:
        yield drafts
    finally:
        shutil.rmtree(drafts)


def _merge(
    folder: Path, stored: Sequence[str], arrived: Staged, rows_per_part: int
) -> tuple[list[str], TableReport]:
    """Store what arrived beside what is stored; return the table's parts and what was done."""
    table = TABLES[arrived.source.name]
    before = scan_parts(folder, stored).collect_schema() if stored else pl.Schema()
    schema = _joined(table, before, arrived.schema)
    key = [column for column in table.key if column in schema]
    stored = _divided(folder, table, stored, arrived.parts)
    names: list[str] = []
    total = good = known = replaced = distinct = 0
    for number in range(arrived.parts):
        fresh = _aligned(arrived.part(number), schema).sort(key, maintain_order=True)
        good += fresh.height
        if not arrived.source.unique:
            fresh = _last_of_each(fresh, key)
        distinct += fresh.height
        old = pl.DataFrame(schema=schema)
        if stored:
            old = _aligned(scan_parts(folder, stored[number : number + 1]).collect(), schema)
        kept, same, other = _merged(old, fresh, key)
        known += same
        replaced += other
        total += kept.height
        if stored and kept is old and before == schema:
            names.append(stored[number])
        else:
            names.append(write_part(folder, table.name, kept))
    report = TableReport(
        read=arrived.read,
        accepted=distinct - known,
        quarantined=sum(arrived.reasons.values()),
        duplicates=good - distinct + known,
        replaced=replaced,
        touched=arrived.source.touched,
    )
    return _divided(folder, table, names, part_count(total, rows_per_part)), report


def _joined(table: Table, stored: pl.Schema, arrived: pl.Schema) -> pl.Schema:
    """Columns of both: the table's own in their order, then further ones by name."""
    for name, dtype in arrived.items():
        if stored.get(name, dtype) != dtype:
            raise InvalidInput(
                f"Column {name} of {table.name} is stored as {stored[name]} and arrives as "
                f"{dtype}; let it arrive as before, or import into a new dataset.",
                field=f"{table.name}.{name}",
            )
    both = {**stored, **arrived}
    further = sorted(name for name in both if name not in table.columns)
    return pl.Schema({name: both[name] for name in (*table.columns, *further) if name in both})


def _aligned(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )


def _last_of_each(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Keep the last of neighbouring rows with the same key."""
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in key)
    return rows.filter(differs)


def _merged(
    old: pl.DataFrame, fresh: pl.DataFrame, key: list[str]
) -> tuple[pl.DataFrame, int, int]:
    """Return old and fresh rows together, how many fresh are known, how many replace.

    Where fresh rows change nothing, the frame returned is `old` itself.
    """
    if fresh.is_empty():
        return old, 0, 0
    if old.is_empty():
        return fresh, 0, 0
    if old.equals(fresh):
        return old, fresh.height, 0
    met = fresh.join(old, on=key, how="semi", nulls_equal=True)
    same = met.join(old, on=met.columns, how="semi", nulls_equal=True).height
    if same == fresh.height:
        return old, same, 0
    rest = old.join(fresh, on=key, how="anti", nulls_equal=True)
    return pl.concat([rest, fresh]).sort(key), same, met.height - same


def _divided(folder: Path, table: Table, parts: Sequence[str], count: int) -> list[str]:
    """Store a table's rows in another number of parts."""
    if len(parts) in (0, count):
        return list(parts)
    names = []
    for number in range(count):
        # Both numbers are powers of two: of more parts every count-th, of fewer a single one.
        sources = parts[number % len(parts) :: count]
        rows = scan_parts(folder, sources)
        columns = rows.collect_schema().names()
        mine = rows.filter(part_of(table, columns, count) == number).collect()
        key = [column for column in table.key if column in columns]
        names.append(write_part(folder, table.name, mine.sort(key)))
    return names


def _write_quarantine(home: Path, dataset: str, rejected: Iterable[Path]) -> None:
    folder = home / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{dataset}.parquet"
    files = [file for part in rejected for file in sorted(part.glob("*.parquet"))]
    empty = pl.LazyFrame(schema=QUARANTINE_SCHEMA)
    pl.concat([empty, *map(pl.scan_parquet, files)]).sink_parquet(draft)
    draft.replace(folder / f"{dataset}.parquet")
