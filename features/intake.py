"""Bring a source's canonical frames into a dataset: check, quarantine, merge, snapshot, report."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.dataset import list_datasets, open_dataset, write_snapshot
from features.quality import (
    QUARANTINE_SCHEMA,
    ImportReport,
    Rule,
    TableReport,
    check_share,
    split,
    standard_rules,
)
from features.tables import TABLES


@dataclass(frozen=True)
class SourceTable:
    """One canonical table as a source read it.

    Attributes
    ----------
    name
        The canonical table.
    frame
        Its rows, columns named and typed as in `features.tables`; further ones serve the
        rules alone, but where the table is open-ended.
    rules
        The source's own reasons to keep rows out, besides those of the table.
    touched
        Rows changed by a rule of the source, by rule.
    unique
        Whether the source guarantees that no key occurs twice.
    """

    name: str
    frame: pl.DataFrame
    rules: list[Rule] = field(default_factory=list)
    touched: dict[str, int] = field(default_factory=dict)
    unique: bool = False


def import_tables(
    home: Path, dataset: str, tables: Iterable[SourceTable], max_bad_share: float
) -> ImportReport:
    """Validate, merge with what is stored, and make a new snapshot.

    An import is idempotent by key: rows already stored are duplicates, rows with a stored
    key and new content replace. Rejected rows are written to `quarantine/<dataset>.parquet`.

    Raises
    ------
    ImportRejected
        If more than `max_bad_share` of a table's rows fail; nothing is changed then.
    """
    stored = open_dataset(home, dataset).tables if dataset in list_datasets(home) else {}
    frames: dict[str, pl.DataFrame] = {}
    reports: dict[str, TableReport] = {}
    rejected = [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    for source in tables:
        table = TABLES[source.name]
        rules = [*source.rules, *standard_rules(table, source.frame.columns)]
        good, bad = split(table, source.frame, rules)
        rejected.append(bad)
        if not table.open_ended:
            good = good.select(name for name in good.columns if name in table.columns)
        key = [column for column in table.key if column in good.columns]
        fresh = good if source.unique else good.unique(key, keep="last", maintain_order=True)
        old = stored[source.name].to_native().collect() if source.name in stored else None
        merged, known, replaced = _merge(old, fresh, key)
        frames[source.name] = merged
        reports[source.name] = TableReport(
            read=source.frame.height,
            accepted=fresh.height - known,
            quarantined=bad.height,
            duplicates=good.height - fresh.height + known,
            replaced=replaced,
            touched=source.touched,
        )
    quarantine = pl.concat(rejected)
    check_share(
        dataset, {name: report.read for name, report in reports.items()}, quarantine, max_bad_share
    )
    kept = {name: frame.to_native().collect() for name, frame in stored.items()}
    snapshot = write_snapshot(home, dataset, kept | frames)
    _write_quarantine(home, dataset, quarantine)
    return ImportReport(dataset, snapshot, reports)


def _merge(
    old: pl.DataFrame | None, fresh: pl.DataFrame, key: list[str]
) -> tuple[pl.DataFrame, int, int]:
    """Return old and fresh rows together, how many fresh are known, how many replace."""
    if old is None:
        return fresh, 0, 0
    if old.equals(fresh.sort(key, maintain_order=True).select(old.columns)):
        return old, fresh.height, 0
    same = fresh.join(old, on=fresh.columns, how="semi", nulls_equal=True).height
    replaced = fresh.join(old, on=key, how="semi", nulls_equal=True).height - same
    rest = old.join(fresh, on=key, how="anti", nulls_equal=True)
    return pl.concat([rest, fresh], how="diagonal"), same, replaced


def _write_quarantine(home: Path, dataset: str, rejected: pl.DataFrame) -> None:
    folder = home / "quarantine"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{dataset}.parquet"
    rejected.write_parquet(draft)
    draft.replace(folder / f"{dataset}.parquet")
