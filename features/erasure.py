"""Erasure of customers from a stored dataset: snapshots, quarantine and leftovers of imports.

Ids go in, counts of erased rows come out. Every step is idempotent: after a crash, the next run
completes the erasure.
"""

from collections import Counter
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.columns import CUSTOMER_ID
from features.events.log import EventLog
from features.identity import LINK_TABLES, resolve
from features.ingest.forgotten import ForgottenCustomers
from features.ingest.health import clear_failure
from features.ingest.quarantine import (
    holds_customers,
    quarantine_files,
    redact_customers,
    remove_draft,
)
from features.ingest.staging import remove_staging
from features.storage.locks import clean_up_scratch, job_lock
from features.storage.snapshots import (
    commit_snapshot,
    dataset_folder,
    list_snapshots,
    part_number,
    read_head,
    read_snapshot,
    remove_unreferenced,
    replace_snapshot,
    scan_parts,
    write_part,
)
from features.tables import TABLES

# Tables with rows of customers.
_LINKS = LINK_TABLES[CUSTOMER_ID]
_TABLES = ("orders", "customers", "touchpoints", _LINKS)


@dataclass
class Erased:
    """Counts of what was erased from a dataset.

    Attributes
    ----------
    known
        Whether the customers were erased before.
    tables
        Rows of the newest snapshot by table: order lines became anonymous, others were removed.
    snapshots
        Older snapshots that were rewritten.
    quarantine
        Quarantined rows of which only location and reason are left.
    events
        Events that were deleted from the log, or became anonymous lines.
    """

    known: bool
    tables: Counter[str] = field(default_factory=Counter)
    snapshots: int = 0
    quarantine: int = 0
    events: int = 0


def is_known(
    home: Path, dataset: str, customer_ids: Collection[str], events_url: str | None = None
) -> bool:
    """Whether a dataset stores data of one of these ids, or has erased it.

    Parameters
    ----------
    events_url
        The database of the event log, as in `EventLog`.
    """
    folder = dataset_folder(home, dataset)
    ids = pl.Series(CUSTOMER_ID, list(customer_ids), dtype=pl.String)
    if ForgottenCustomers.load(folder).contains(ids).any():
        return True
    for snapshot in list_snapshots(folder):
        parts = read_snapshot(folder, snapshot)
        for table in _TABLES:
            if table in parts and _rows_of(folder, parts[table], ids).head(1).collect().height:
                return True
    with closing(EventLog(home, dataset, events_url)) as log:
        if log.knows(customer_ids):
            return True
    return any(holds_customers(path, ids) for path in quarantine_files(home, dataset))


def erase(
    home: Path, dataset: str, customer_ids: Collection[str], events_url: str | None = None
) -> Erased:
    """Erase customers, and exclude them from later imports and from the event log.

    Ids that are linked to these are erased too.

    Parameters
    ----------
    events_url
        The database of the event log, as in `EventLog`.

    Raises
    ------
    Unavailable
        If an import into the dataset runs.
    """
    folder = dataset_folder(home, dataset)
    with job_lock(home, f"import-{dataset}"):
        ids = _with_linked_ids(folder, customer_ids)
        forgotten = ForgottenCustomers.load(folder)
        erased = Erased(known=bool(forgotten.contains(ids).any()))
        # Recorded first, so that no later import restores the customers after a crash.
        forgotten = forgotten.add(folder, ids.to_list())
        with closing(EventLog(home, dataset, events_url)) as log:
            erased.events = log.erase(ids.to_list())
        for path in quarantine_files(home, dataset):
            remove_draft(path)
            erased.quarantine += redact_customers(path, ids)
        head = read_head(folder)
        parts = read_snapshot(folder, head)
        cleaned = {}
        for table, names in parts.items():
            cleaned[table], rows = _without(folder, table, names, ids, forgotten)
            if rows:
                erased.tables[table] = rows
        if cleaned != parts:
            commit_snapshot(folder, cleaned)
        # Runs and published versions refer to snapshots by name, so names are kept. The links in
        # them identify the customer until the last snapshot is rewritten.
        for snapshot in list_snapshots(folder):
            before = read_snapshot(folder, snapshot)
            after = {
                table: _without(folder, table, names, ids, forgotten)[0]
                for table, names in before.items()
            }
            if after != before:
                replace_snapshot(folder, snapshot, after)
                erased.snapshots += snapshot != head
        remove_unreferenced(folder)
        remove_staging(folder)
        clear_failure(folder)
    clean_up_scratch(home)
    return erased


def _with_linked_ids(folder: Path, customer_ids: Collection[str]) -> pl.Series:
    """Return these ids and the ids that are linked to them in any snapshot."""
    ids = pl.Series(CUSTOMER_ID, sorted(customer_ids), dtype=pl.String)
    parts = [read_snapshot(folder, snapshot).get(_LINKS) for snapshot in list_snapshots(folder)]
    links = [scan_parts(folder, names).collect() for names in parts if names]
    if not links:
        return ids
    resolved = resolve(pl.concat(links).unique()).ids
    given = resolved.filter(pl.col(CUSTOMER_ID).is_in(ids.implode()))
    linked = pl.col("canonical_id").is_in(given.get_column("canonical_id").implode())
    return pl.concat([ids, resolved.filter(linked).get_column(CUSTOMER_ID)]).unique().sort()


def _without(
    folder: Path, table: str, names: list[str], ids: pl.Series, forgotten: ForgottenCustomers
) -> tuple[list[str], int]:
    """Rewrite the parts of a table that hold customers.

    Returns
    -------
    tuple
        Names of all parts of the table, and the number of rows of the customers.
    """
    if table not in _TABLES:
        return names, 0
    rows = _rows_of(folder, names, ids).collect()
    if rows.is_empty():
        return names, 0
    moved: dict[int, pl.DataFrame] = {}
    if table == "orders":
        # An order id may contain the customer id. A new order id may belong to another part.
        anonymous = forgotten.anonymise_orders(rows, pl.lit(value=True))
        part = part_number(TABLES[table], anonymous.columns, len(names)).alias("#part")
        by_part = anonymous.with_columns(part).partition_by(
            "#part", as_dict=True, include_key=False
        )
        moved = {int(number): frame for (number,), frame in by_part.items()}
    kept = []
    for number, name in enumerate(names):
        others = _other_rows(folder, name, ids)
        if others is None and number not in moved:
            kept.append(name)
            continue
        part_rows = scan_parts(folder, [name]).collect() if others is None else others
        if number in moved:
            part_rows = pl.concat([part_rows, moved[number]])
        key = [column for column in TABLES[table].key if column in part_rows.columns]
        kept.append(write_part(folder, table, part_rows.sort(key)))
    return kept, rows.height


def _rows_of(folder: Path, names: list[str], ids: pl.Series) -> pl.LazyFrame:
    """Scan the rows of some customers in parts of a table."""
    rows = scan_parts(folder, names)
    if CUSTOMER_ID not in rows.collect_schema():
        return rows.clear()
    return rows.filter(pl.col(CUSTOMER_ID).is_in(ids.implode()))


def _other_rows(folder: Path, name: str, ids: pl.Series) -> pl.DataFrame | None:
    """Return the rows of all other customers in a part; None if it has none of these."""
    if _rows_of(folder, [name], ids).head(1).collect().is_empty():
        return None
    other = ~pl.col(CUSTOMER_ID).is_in(ids.implode())
    return scan_parts(folder, [name]).filter(other.fill_null(value=True)).collect()
