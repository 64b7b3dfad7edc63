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
from features.errors import ImportRejected, InvalidInput
from features.identity import LINK_TABLES, keep_first_import
from features.ingest.forgotten import Forgotten
from features.ingest.line_numbers import FILE as LINE_FILE
from features.ingest.line_numbers import number_lines
from features.ingest.quarantine import elsewhere, quarantine_file, scan_quarantine, write_quarantine
from features.ingest.staging import SourceTable, Staged, condensed, rejected_rows, stage
from features.ingest.validation import ImportReport, TableReport, check_share
from features.privacy.pseudonyms import require_same_key
from features.storage.locks import job_lock
from features.storage.snapshots import (
    ROWS_PER_PART,
    commit_snapshot,
    dataset_folder,
    part_count,
    part_number,
    read_head,
    read_snapshot,
    remove_unreferenced,
    scan_parts,
    write_part,
)
from features.tables import TABLES, Table

# Tables whose products may be missing from the catalogue.
_SELLING = ("orders", "sales")
NOT_IN_CATALOGUE = "product is not in the catalogue"


def import_tables(
    home: Path,
    dataset: str,
    tables: Iterable[SourceTable],
    max_bad_share: float,
    rows_per_part: int = ROWS_PER_PART,
    *,
    key_check: str | None = None,
) -> ImportReport:
    """Validate, merge with what is stored, and make a new snapshot.

    An import is idempotent by key: rows already stored are duplicates, rows with a stored
    key and new content replace, and of several rows with one key the last counts. Rejected
    rows are in quarantine afterwards, in place of those that an earlier import found in the
    same files. Whatever ends an import early leaves the dataset as it was.

    Parameters
    ----------
    tables
        What came; a table may come from several sources, of which a later one corrects
        an earlier.
    rows_per_part
        About how many rows are held in memory at once; the snapshot's hash depends on it.
    key_check
        What tells the key by which customers' ids were hashed; None where they were not.

    Raises
    ------
    ImportRejected
        If more than `max_bad_share` of a table's rows fail.
    InvalidInput
        If a column arrives with another type than it is stored with, or customers' ids
        hashed otherwise.
    Unavailable
        If another import into this dataset runs.
    """
    folder = dataset_folder(home, dataset)
    with job_lock(home, f"import-{dataset}"), _drafts(folder) as drafts:
        known = dataset in list_datasets(home)
        require_same_key(folder, key_check, has_data=known)
        forgotten = Forgotten.load(folder)
        parts = read_snapshot(folder, read_head(folder)) if known else {}
        arrived: dict[str, list[Staged]] = {}
        for number, source in enumerate(tables):
            name = source.name
            others = arrived.setdefault(name, [])
            one = stage(
                source,
                drafts / str(number),
                rows_per_part,
                forgotten,
                at_least=len(parts.get(name, ())),
                beside=sum(other.kept for other in others),
            )
            others.append(one)
        _check(home, dataset, arrived, max_bad_share)
        rejected = [rejected_rows(staged) for staged in arrived.values()]
        # Until the dataset has changed, what was kept out before is kept out still.
        quarantine = quarantine_file(home, dataset)
        former = scan_quarantine(_kept_aside(quarantine, drafts))
        if key_check is not None and not known:
            # From before ids were hashed; these rows' files are read anew.
            former = former.clear()
        write_quarantine(quarantine, [former, *rejected])
        reports: dict[str, TableReport] = {}
        # The catalogue goes first: what is sold is looked up in it.
        for name in sorted(arrived, key=lambda name: name != "products"):
            catalogue = _catalogue(folder, parts) if name in _SELLING else None
            stored = parts.get(name, [])
            since = _next_import(folder, stored) if name in LINK_TABLES.values() else None
            parts[name], reports[name] = _merge(
                folder, stored, arrived[name], catalogue, rows_per_part, since
            )
        snapshot = commit_snapshot(folder, parts)
        places = {
            name: {(one.source.number, place) for one in staged for place in one.source.places}
            for name, staged in arrived.items()
        }
        write_quarantine(quarantine, [elsewhere(former, places), *rejected])
        quarantine_file(home, dataset, stopped=True).unlink(missing_ok=True)
        remove_unreferenced(folder)
    return ImportReport(dataset, snapshot, {name: reports[name] for name in arrived})


def _kept_aside(path: Path, drafts: Path) -> Path:
    """Give a file a second name, under which it stays when the first names another."""
    aside = drafts / path.name
    if path.is_file():
        aside.hardlink_to(path)
    return aside


def _check(
    home: Path, dataset: str, arrived: dict[str, list[Staged]], max_bad_share: float
) -> None:
    """Stop where too many rows failed, and keep these to be looked at."""
    try:
        for name, staged in arrived.items():
            read = sum(one.read for one in staged)
            failing = sum(one.failing for one in staged)
            check_share(dataset, name, read, failing, rejected_rows(staged), max_bad_share)
    except ImportRejected:
        failed = [rejected_rows(staged) for staged in arrived.values()]
        write_quarantine(quarantine_file(home, dataset, stopped=True), failed)
        raise


def _next_import(folder: Path, parts: list[str]) -> int:
    """Return the number of an import: one more than that of the last that brought new links."""
    if not parts:
        return 0
    last = scan_parts(folder, parts).select(pl.col("since").max()).collect().item()
    return 0 if last is None else int(last) + 1


def _catalogue(folder: Path, parts: dict[str, list[str]]) -> pl.Series | None:
    """Ids of the products that the dataset describes; None where it describes none."""
    if not parts.get("products"):
        return None
    return scan_parts(folder, parts["products"]).select("product_id").collect().to_series()


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
    folder: Path,
    stored: Sequence[str],
    arrived: list[Staged],
    catalogue: pl.Series | None,
    rows_per_part: int,
    since: int | None,
) -> tuple[list[str], TableReport]:
    """Store what arrived beside what is stored; return the table's parts and what was done.

    Links get `since`, the number of the import that brought them first.
    """
    table = TABLES[arrived[0].source.name]
    before = scan_parts(folder, stored).collect_schema() if stored else pl.Schema()
    schema = _joined(table, before, [one.schema for one in arrived])
    key = [column for column in table.key if column in schema]
    read = sum(one.read for one in arrived)
    count = max(len(stored), part_count(sum(one.kept for one in arrived), rows_per_part))
    for one in arrived:
        one.settle(count)
    stored = _divided(folder, table, stored, count)
    names: list[str] = []
    unknown = good = known = replaced = distinct = total = 0
    for number in range(count):
        old = pl.DataFrame(schema=schema)
        if stored:
            old = _aligned(scan_parts(folder, stored[number : number + 1]).collect(), schema)
        fresh = _fresh([(one, one.part(number, count)) for one in arrived], old, key)
        good += fresh.height
        if table.open_ended:
            fresh = condensed(fresh, key)
        elif not (len(arrived) == 1 and arrived[0].source.unique):
            fresh = _last_of_each(fresh, key)
        if since is not None:
            fresh = keep_first_import(fresh, old, key, since)
        distinct += fresh.height
        if catalogue is not None and "product_id" in fresh.columns:
            sold = fresh.get_column("product_id").drop_nulls()
            unknown += sold.len() - int(sold.is_in(catalogue.implode()).sum())
        kept, same, other = _merged(old, fresh, key)
        known += same
        replaced += other
        total += kept.height
        if stored and kept is old and before == schema:
            names.append(stored[number])
        else:
            names.append(write_part(folder, table.name, kept))
    touched: Counter[str] = Counter()
    noted = Counter({NOT_IN_CATALOGUE: unknown})
    for one in arrived:
        touched.update(one.source.touched)
        touched.update(one.touched)
        noted.update(one.noted)
        good += one.repeated
    report = TableReport(
        read=read,
        accepted=distinct - known,
        quarantined=sum(one.failing + one.dropped for one in arrived),
        duplicates=good - distinct + known,
        replaced=replaced,
        touched={rule: rows for rule, rows in touched.items() if rows},
        dropped=sum(one.dropped for one in arrived),
        noted={remark: rows for remark, rows in noted.items() if rows},
    )
    return _divided(folder, table, names, part_count(total, rows_per_part)), report


def _fresh(
    portions: list[tuple[Staged, pl.DataFrame]], old: pl.DataFrame, key: list[str]
) -> pl.DataFrame:
    """Put one part of all sources together, lines numbered, by key and as they came."""
    fresh = old.clear()
    for staged, rows in portions:
        rule = staged.source.lines
        if rule is None:
            arriving = _aligned(rows, old.schema)
        else:
            extended = pl.Schema({**old.schema, LINE_FILE: pl.String()})
            lines = pl.concat([old, fresh]) if fresh.height else old
            arriving = number_lines(_aligned(rows, extended), lines, rule)
        fresh = pl.concat([fresh, arriving]) if fresh.height else arriving
    return fresh.sort(key, maintain_order=True)


def _joined(table: Table, stored: pl.Schema, arrived: list[pl.Schema]) -> pl.Schema:
    """Columns of all: the table's own in their order, then further ones by name."""
    frames = [pl.DataFrame(schema=schema) for schema in arrived]
    fresh = pl.concat(frames, how="diagonal_relaxed").schema
    for name, dtype in fresh.items():
        if stored.get(name, dtype) != dtype:
            raise InvalidInput(
                f"Column {name} of {table.name} is stored as {stored[name]} and arrives as "
                f"{dtype}; let it arrive as before, or import into a new dataset.",
                field=f"{table.name}.{name}",
            )
    both: dict[str, pl.DataType | type[pl.DataType]] = {**stored, **fresh}
    if any(LINE_FILE in schema for schema in arrived):
        both["line"] = table.columns["line"].dtype
    further = sorted(name for name in both if name not in table.columns and name != LINE_FILE)
    return pl.Schema({name: both[name] for name in (*table.columns, *further) if name in both})


def _aligned(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
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
        mine = rows.filter(part_number(table, columns, count) == number).collect()
        key = [column for column in table.key if column in columns]
        names.append(write_part(folder, table.name, mine.sort(key)))
    return names
