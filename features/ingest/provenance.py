"""Provenance of stored rows: which mapping contributed them, from which files, how fresh they are.

A dataset may have several mapping files. The record of a snapshot resolves the numbers of sources
in its rows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.calendar import to_day
from features.ingest.mapping.digest import location, table_digest
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.stored import original_file, stored_file
from features.ingest.sources.files import display_path
from features.storage.snapshots import (
    SOURCE,
    dataset_folder,
    read_head,
    read_sources,
    replace_sources,
    scan_parts,
)
from features.tables import PAST_TABLES


@dataclass(frozen=True)
class Contribution:
    """A recorded source of a table's rows.

    Attributes
    ----------
    table
        The canonical table.
    source
        Number of the source in the column SOURCE; None for rows that were stored before sources
        were recorded.
    number
        Position of the source among the table's sources in the mapping.
    mapping, digest, location, folder
        As in `Provenance`.
    files
        All files that were read, relative to `folder` if they are inside, each with its number of
        rows and of failing rows.
    newest
        Day of its newest record; None for tables that are not of past events.
    delay, least_delay
        Days from that record to the last import, and the least such number of any import.
    advances
        Number of imports that brought newer records than those before.
    position
        Of an event log, the last position that was read.
    """

    table: str
    source: int | None
    number: int
    mapping: str
    digest: str
    location: str
    folder: str
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    newest: int | None = None
    delay: int = 0
    least_delay: int | None = None
    advances: int = 0
    position: int = 0

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the contribution of a record as JSON has it."""
        files = {name: (read, failing) for name, (read, failing) in record["files"].items()}
        return cls(**{**record, "files": files})

    def seen(self, newest: int | None, read_day: int) -> Self:
        """Return the contribution after an import on a day that left this newest record."""
        if newest is None:
            return self
        delay = max(0, read_day - newest)
        is_newer = self.newest is not None and newest > self.newest
        return replace(
            self,
            newest=newest,
            delay=delay,
            least_delay=delay if self.least_delay is None else min(delay, self.least_delay),
            advances=self.advances + is_newer,
        )

    @property
    def label(self) -> str:
        """The location for display: relative to the mapping's folder if it is inside."""
        path = Path(self.location)
        if not path.is_absolute():
            return next(iter(self.files), self.location)
        return display_path(path, Path(self.folder))

    @property
    def growth_of_delay(self) -> int:
        """Days by which the delay exceeds the least one, of a source that has delivered before."""
        return self.delay - (self.least_delay or 0) if self.advances else 0

    @property
    def gone_files(self) -> list[str]:
        """Files that were read and no longer exist."""
        is_query = not Path(self.location).is_absolute()
        return [] if is_query else [f for f in self.files if not (Path(self.folder) / f).exists()]


def recorded_contributions(home: Path, dataset: str) -> list[Contribution]:
    """Return the contributions to the current snapshot of a dataset.

    A snapshot of older code has no record. Its rows then belong to the stored mapping.
    """
    folder = dataset_folder(home, dataset)
    records = read_sources(folder, read_head(folder))
    if records is not None:
        return [Contribution.from_record(record) for record in records]
    stored = stored_file(home, dataset)
    if not stored.is_file():
        return []
    mapping = read_mapping(stored)
    return [
        Contribution(
            name,
            None,
            number,
            str(original_file(stored)),
            table_digest(mapping, name),
            location(mapping, source),
            str(mapping.folder),
        )
        for name, sources in mapping.tables.items()
        for number, source in enumerate(sources)
    ]


def note_unchanged(home: Path, dataset: str) -> None:
    """Record that the sources of the stored mapping have nothing new, which may make them late."""
    folder, stored = dataset_folder(home, dataset), stored_file(home, dataset)
    snapshot, today = read_head(folder), to_day(date.today())
    records = read_sources(folder, snapshot)
    if records is None or not stored.is_file():
        return
    mapping = str(original_file(stored))
    contributions = [
        each.seen(each.newest, today) if each.mapping == mapping or each.position else each
        for each in map(Contribution.from_record, records)
    ]
    replace_sources(folder, snapshot, [asdict(each) for each in contributions])


def events_position(home: Path, dataset: str, snapshot: str) -> int:
    """Return the last position of the event log in a snapshot; 0 if it has no events."""
    records = read_sources(dataset_folder(home, dataset), snapshot) or []
    return max((record.get("position", 0) for record in records), default=0)


def newest_days(folder: Path, parts: Mapping[str, list[str]]) -> dict[tuple[str, int | None], int]:
    """Return the day of the newest stored record, by table of past events and source."""
    newest: dict[tuple[str, int | None], int] = {}
    for table in (name for name in PAST_TABLES if name in parts):
        rows = scan_parts(folder, parts[table])
        if SOURCE in rows.collect_schema():
            last = rows.group_by(SOURCE).agg(pl.col("day").max()).collect()
            newest |= {(table, source): int(day) for source, day in last.rows()}
    return newest
