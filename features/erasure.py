"""Take people out of what is stored of a dataset: all snapshots, the quarantine, crashes' drafts.

Used by `foresell forget`. Each step can be taken again: killed at any point, the next run ends
what this one began.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.columns import CUSTOMER_ID
from features.identity import LINK_TABLES, resolve
from features.ingest.forgotten import ForgottenCustomers
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

# Tables that tell of people, with what a person leaves there.
_LINKS = LINK_TABLES[CUSTOMER_ID]
_TABLES = ("orders", "customers", "touchpoints", _LINKS)


@dataclass
class Erased:
    """What was removed from a dataset.

    Attributes
    ----------
    tables
        Rows by table of the newest snapshot: order lines that became anonymous, the rest gone.
    snapshots
        Older snapshots that held the person and no longer do.
    quarantine
        Rows in quarantine of which only place and reason are left.
    known
        Whether the person was forgotten before.
    """

    known: bool
    tables: Counter[str] = field(default_factory=Counter)
    snapshots: int = 0
    quarantine: int = 0


def is_known(home: Path, dataset: str, customer_ids: Collection[str]) -> bool:
    """Whether anything stored of a dataset tells of one of these ids, or once did."""
    folder = dataset_folder(home, dataset)
    ids = pl.Series(CUSTOMER_ID, list(customer_ids), dtype=pl.String)
    if ForgottenCustomers.load(folder).contains(ids).any():
        return True
    for snapshot in list_snapshots(folder):
        parts = read_snapshot(folder, snapshot)
        for table in _TABLES:
            if table in parts and _rows_of(folder, parts[table], ids).head(1).collect().height:
                return True
    return any(holds_customers(path, ids) for path in quarantine_files(home, dataset))


def erase(home: Path, dataset: str, customer_ids: Collection[str]) -> Erased:
    """Take people out, and keep them out of whatever is imported later.

    Ids that are linked to one of these are the same person's and go too.

    Raises
    ------
    Unavailable
        If an import into the dataset runs.
    """
    folder = dataset_folder(home, dataset)
    with job_lock(home, f"import-{dataset}"):
        ids = _linked(folder, customer_ids)
        forgotten = ForgottenCustomers.load(folder)
        found = Erased(known=bool(forgotten.contains(ids).any()))
        # First of all: what is done below is not undone by an import.
        forgotten = forgotten.add(folder, ids.to_list())
        for path in quarantine_files(home, dataset):
            remove_draft(path)
            found.quarantine += redact_customers(path, ids)
        head = read_head(folder)
        parts = read_snapshot(folder, head)
        cleaned = {}
        for table, names in parts.items():
            cleaned[table], rows = _without(folder, table, names, ids, forgotten)
            if rows:
                found.tables[table] = rows
        if cleaned != parts:
            commit_snapshot(folder, cleaned)
        # What runs and versions name as the records they rest on goes on under its old name. Until
        # the last of them is clean, it also says which ids are one person's.
        for snapshot in list_snapshots(folder):
            before = read_snapshot(folder, snapshot)
            after = {
                table: _without(folder, table, names, ids, forgotten)[0]
                for table, names in before.items()
            }
            if after != before:
                replace_snapshot(folder, snapshot, after)
                found.snapshots += snapshot != head
        remove_unreferenced(folder)
        remove_staging(folder)
    clean_up_scratch(home)
    return found


def _linked(folder: Path, customer_ids: Collection[str]) -> pl.Series:
    """Return these ids and those that are the same people's, in any snapshot."""
    ids = pl.Series(CUSTOMER_ID, sorted(customer_ids), dtype=pl.String)
    told = [read_snapshot(folder, one).get(_LINKS) for one in list_snapshots(folder)]
    links = [scan_parts(folder, parts).collect() for parts in told if parts]
    if not links:
        return ids
    who = resolve(pl.concat(links).unique()).ids
    one_person = pl.col("canonical_id").is_in(
        who.filter(pl.col(CUSTOMER_ID).is_in(ids.implode())).get_column("canonical_id").implode()
    )
    return pl.concat([ids, who.filter(one_person).get_column(CUSTOMER_ID)]).unique().sort()


def _without(
    folder: Path, table: str, names: list[str], ids: pl.Series, forgotten: ForgottenCustomers
) -> tuple[list[str], int]:
    """Write the parts of a table that people are in anew; returns all parts and rows concerned."""
    if table not in _TABLES:
        return names, 0
    rows = _rows_of(folder, names, ids).collect()
    if rows.is_empty():
        return names, 0
    moved: dict[int, pl.DataFrame] = {}
    if table == "orders":
        # An order that was named by its customer gets another name, and with it another part.
        anonymous = forgotten.anonymise_orders(rows, pl.lit(value=True))
        part = part_number(TABLES[table], anonymous.columns, len(names)).alias("#part")
        placed = anonymous.with_columns(part).partition_by("#part", as_dict=True, include_key=False)
        moved = {int(number): frame for (number,), frame in placed.items()}
    kept = []
    for number, name in enumerate(names):
        others = _parted(folder, name, ids)
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
    rows = scan_parts(folder, names)
    if CUSTOMER_ID not in rows.collect_schema():
        return rows.clear()
    return rows.filter(pl.col(CUSTOMER_ID).is_in(ids.implode()))


def _parted(folder: Path, name: str, ids: pl.Series) -> pl.DataFrame | None:
    """Return the rows of all others in a part; None where it holds nobody who goes."""
    if _rows_of(folder, [name], ids).head(1).collect().is_empty():
        return None
    other = ~pl.col(CUSTOMER_ID).is_in(ids.implode())
    return scan_parts(folder, [name]).filter(other.fill_null(value=True)).collect()
