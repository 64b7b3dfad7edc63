"""Import of source tables into a dataset: validate, quarantine, merge, commit, report.

Rows are staged on disk, partitioned by a hash of their key, and merged part by part, so that
memory is bounded by the size of a part.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from features.columns import PRODUCT_ID
from features.errors import ImportRejected
from features.identity import LINK_TABLES
from features.ingest.forgotten import ForgottenCustomers
from features.ingest.merging import merge_table
from features.ingest.provenance import newest_days, recorded_contributions
from features.ingest.quarantine import (
    exclude_files,
    quarantine_file,
    scan_quarantine,
    write_quarantine,
)
from features.ingest.remarks import dominant_account
from features.ingest.report import ImportReport, TableReport
from features.ingest.source_plan import Mode, SourcePlan, plan_sources, remove_rows
from features.ingest.source_table import SourceTable
from features.ingest.staging import StagedSource, rejected_rows, stage_source, staging_folder
from features.ingest.unclear_consent import withdraw_unclear
from features.ingest.validation import check_failing_files, check_failing_share
from features.privacy.pseudonyms import require_same_key
from features.storage.locks import job_lock
from features.storage.snapshots import (
    ROWS_PER_PART,
    commit_snapshot,
    dataset_folder,
    list_datasets,
    read_head,
    read_snapshot,
    remove_unreferenced,
    scan_parts,
)

# Tables whose rows may name a product that is not in the catalogue.
_WITH_PRODUCTS = ("orders", "sales")


def import_tables(
    home: Path,
    dataset: str,
    tables: Iterable[SourceTable],
    max_bad_share: float,
    rows_per_part: int = ROWS_PER_PART,
    *,
    key_check: str | None = None,
    mode: Mode = "replace",
    before_commit: Callable[[], None] = lambda: None,
) -> ImportReport:
    """Import source tables into a dataset as a new snapshot.

    An import is idempotent by key: rows equal to stored ones are duplicates, rows with a stored
    key and other content replace the stored row, and of several rows with one key the last
    counts. Rows that a former version of the mapping read are replaced as a whole. An import that
    fails or is interrupted leaves the dataset unchanged.

    Parameters
    ----------
    tables
        Source tables; of several sources of one table, a later one corrects an earlier one.
    rows_per_part
        Approximate number of rows held in memory at once; the snapshot's hash depends on it.
    key_check
        Identifies the key by which customer ids were hashed; None for ids in the clear.
    mode
        What becomes of stored rows that a former version of the mapping read.
    before_commit
        Called just before the stored rows become the current snapshot.

    Raises
    ------
    ImportRejected
        If too large a share of a table's rows is invalid.
    InvalidInput
        If a column arrives with another type than the stored one, customer ids are hashed with
        another key, or files of rows to replace are gone.
    """
    folder = dataset_folder(home, dataset)
    with job_lock(home, f"import-{dataset}"), staging_folder(folder) as staging:
        exists = dataset in list_datasets(home)
        require_same_key(folder, key_check, has_data=exists)
        plan = plan_sources(recorded_contributions(home, dataset) if exists else [], tables, mode)
        parts = read_snapshot(folder, read_head(folder)) if exists else {}
        removed = _remove_superseded(folder, parts, plan, mode, rows_per_part)
        staged = _stage(plan.sources, staging, rows_per_part, folder, parts)
        _check_failing_shares(home, dataset, staged, max_bad_share, plan)
        # Rows from before ids were hashed are not kept; their files are read again.
        is_fresh = mode == "rebuild" or (key_check is not None and not exists)
        with _quarantined(quarantine_file(home, dataset), staging, staged, plan, fresh=is_fresh):
            reports = _merge(folder, parts, staged, rows_per_part)
            before_commit()
            snapshot = commit_snapshot(folder, parts, _records(folder, parts, staged, plan))
        quarantine_file(home, dataset, stopped=True).unlink(missing_ok=True)
        remove_unreferenced(folder)
    for name in removed:
        reports.setdefault(name, TableReport(0, 0, 0, 0)).superseded = removed[name]
    order = dict.fromkeys([*staged, *removed])
    return ImportReport(dataset, snapshot, {name: reports[name] for name in order})


@contextmanager
def _quarantined(
    quarantine: Path,
    staging: Path,
    staged: dict[str, list[StagedSource]],
    plan: SourcePlan,
    *,
    fresh: bool,
) -> Iterator[None]:
    """Quarantine the rejected rows while a context commits, in place of those of the same files.

    Until the commit, the quarantine keeps the former rows as well; `fresh` drops them all.
    """
    former = scan_quarantine(_link_backup(quarantine, staging))
    if fresh:
        former = former.clear()
    rejected = [rejected_rows(sources) for sources in staged.values()]
    write_quarantine(quarantine, [former, *rejected])
    yield
    write_quarantine(quarantine, [exclude_files(former, _files_read(staged, plan)), *rejected])


def _remove_superseded(
    folder: Path, parts: dict[str, list[str]], plan: SourcePlan, mode: Mode, rows_per_part: int
) -> Counter[str]:
    """Remove the rows of superseded sources from `parts`; returns their number by table."""
    removed: Counter[str] = Counter()
    for table, names in list(parts.items()):
        numbers = None if mode == "rebuild" else plan.superseded_numbers(table)
        if numbers is not None and not numbers:
            continue
        left, rows = remove_rows(folder, table, names, numbers, rows_per_part)
        removed.update({table: rows} if rows else {})
        if left:
            parts[table] = left
        else:
            del parts[table]
    return removed


def _stage(
    tables: Iterable[SourceTable],
    staging: Path,
    rows_per_part: int,
    folder: Path,
    parts: dict[str, list[str]],
) -> dict[str, list[StagedSource]]:
    """Stage all sources; returns them by table."""
    forgotten = ForgottenCustomers.load(folder)
    staged: dict[str, list[StagedSource]] = {}
    for number, source in enumerate(tables):
        others = staged.setdefault(source.name, [])
        others.append(
            stage_source(
                source,
                staging / str(number),
                rows_per_part,
                forgotten,
                min_parts=len(parts.get(source.name, ())),
                other_rows=sum(other.row_count for other in others),
            )
        )
    return staged


def _check_failing_shares(
    home: Path,
    dataset: str,
    staged: dict[str, list[StagedSource]],
    max_bad_share: float,
    plan: SourcePlan,
) -> None:
    """Check the share of invalid rows of every table and file.

    Files that an earlier import accepted with the same counts are not checked again. If a share is
    too large, the invalid rows are stored.
    """
    rejected = {name: rejected_rows(sources) for name, sources in staged.items()}
    try:
        for name, sources in staged.items():
            read = sum(source.read for source in sources)
            failing = sum(source.failing for source in sources)
            files: dict[str, tuple[int, int]] = {}
            for staged_source in sources:
                accepted = plan.accepted_files(staged_source.source)
                if accepted is not None:
                    counts = staged_source.file_counts
                    files |= {f: n for f, n in counts.items() if accepted.get(f) != n}
            check_failing_files(dataset, name, read, files, rejected[name], max_bad_share)
            check_failing_share(dataset, name, read, failing, rejected[name], max_bad_share)
    except ImportRejected:
        write_quarantine(quarantine_file(home, dataset, stopped=True), rejected.values())
        raise


def _records(
    folder: Path,
    parts: dict[str, list[str]],
    staged: dict[str, list[StagedSource]],
    plan: SourcePlan,
) -> list[dict[str, Any]]:
    """Return the record of the sources of all rows, with what this import saw of them."""
    counts = {
        (name, staged_source.source.source): staged_source.file_counts
        for name, sources in staged.items()
        for staged_source in sources
    }
    return plan.records(counts, newest_days(folder, parts))


def _link_backup(path: Path, staging: Path) -> Path:
    """Hard-link a file into the staging folder; the link outlives a replacement of the file."""
    backup = staging / path.name
    if path.is_file():
        backup.hardlink_to(path)
    return backup


def _merge(
    folder: Path,
    parts: dict[str, list[str]],
    staged: dict[str, list[StagedSource]],
    rows_per_part: int,
) -> dict[str, TableReport]:
    """Merge all staged tables into `parts`, which is updated; returns the reports by table."""
    reports: dict[str, TableReport] = {}
    # The catalogue is merged first, because products of other tables are compared with it.
    for name in sorted(staged, key=lambda name: name != "products"):
        stored = parts.get(name, [])
        if name == "customers":
            stored = withdraw_unclear(folder, stored, rejected_rows(staged[name]))
        catalogue = _catalogue(folder, parts) if name in _WITH_PRODUCTS else None
        number = _import_number(folder, stored) if name in LINK_TABLES.values() else None
        parts[name], reports[name] = merge_table(
            folder, stored, staged[name], catalogue, rows_per_part, number
        )
    if "orders" in reports:
        reports["orders"].noted |= dominant_account(scan_parts(folder, parts["orders"]))
    return reports


def _catalogue(folder: Path, parts: dict[str, list[str]]) -> pl.Series | None:
    """Return the product ids of the catalogue; None for a dataset without one."""
    if not parts.get("products"):
        return None
    return scan_parts(folder, parts["products"]).select(PRODUCT_ID).collect().to_series()


def _import_number(folder: Path, parts: list[str]) -> int:
    """Return the number of this import for links: one more than that of the newest link."""
    if not parts:
        return 0
    links = scan_parts(folder, parts).filter(pl.col("undone").is_null())
    last = links.select(pl.col("since").max()).collect().item()
    return 0 if last is None else int(last) + 1


def _files_read(
    staged: dict[str, list[StagedSource]], plan: SourcePlan
) -> dict[str, set[tuple[int, str | None]]]:
    """Return pairs of source number and file by table, of sources read now or superseded."""
    files: dict[str, set[tuple[int, str | None]]] = defaultdict(set)
    for name, sources in staged.items():
        files[name] |= {(s.source.number, file) for s in sources for file in s.source.files}
    for old in plan.superseded:
        files[old.table] |= {(old.number, file) for file in old.files}
    return files
