"""Provenance of stored rows: which mapping contributed them, and what a changed mapping replaces.

Arriving source tables and the recorded contributions of a dataset go in; numbered source tables,
the new record and the superseded rows come out. A dataset may have several mapping files.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl

from features.errors import InvalidInput
from features.identity import LINK_TABLES
from features.ingest.mapping.digest import location, table_digest
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.stored import original_file, stored_file
from features.ingest.merging import repartition
from features.ingest.source_table import Provenance, SourceTable
from features.storage.snapshots import (
    SOURCE,
    dataset_folder,
    part_count,
    read_head,
    read_sources,
    scan_parts,
    write_part,
)
from features.tables import TABLES

# What an import does with rows that a former version of its mapping read: replace them if the files
# that they came from still exist; remove all stored rows; keep them.
Mode = Literal["replace", "rebuild", "keep"]
_TRANSACTIONS = ("orders", "sales")
_SHOWN = 3


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
        All files that were read, relative to `folder` if they are inside.
    """

    table: str
    source: int | None
    number: int
    mapping: str
    digest: str
    location: str
    folder: str
    files: tuple[str, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the contribution of a record as JSON has it."""
        return cls(**{**record, "files": tuple(record["files"])})

    def to_record(self) -> dict[str, Any]:
        """Return a record for JSON."""
        return asdict(self)

    @property
    def gone_files(self) -> list[str]:
        """Files that were read and no longer exist."""
        is_query = not Path(self.location).is_absolute()
        return [] if is_query else [f for f in self.files if not (Path(self.folder) / f).exists()]


@dataclass(frozen=True)
class SourcePlan:
    """What an import does with the sources of a dataset.

    Attributes
    ----------
    sources
        The arriving source tables, with their numbers.
    contributions
        What is recorded with the new snapshot.
    superseded
        Contributions whose rows are replaced.
    """

    sources: list[SourceTable]
    contributions: list[Contribution]
    superseded: list[Contribution] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The contributions as records for JSON."""
        return [contribution.to_record() for contribution in self.contributions]

    def superseded_numbers(self, table: str) -> set[int | None]:
        """Return the numbers of the sources of a table whose rows are replaced."""
        return {old.source for old in self.superseded if old.table == table}


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


def plan_sources(
    recorded: Collection[Contribution], arriving: Iterable[SourceTable], mode: Mode = "replace"
) -> SourcePlan:
    """Give the arriving sources numbers, and find the contributions that they supersede.

    A contribution is superseded if it came from the same mapping file, or from one that reads the
    same orders or sales, and that mapping described the table in another way than the arriving one.

    Raises
    ------
    InvalidInput
        If rows would be lost because files that they came from are gone.
    """
    sources = list(arriving)
    origins = [(source, source.provenance) for source in sources if source.provenance is not None]
    imported = [(source, origin) for source, origin in origins if not origin.replayed]
    digests = {source.name: origin.digest for source, origin in imported}
    related = {origin.mapping for _, origin in origins}
    related |= {old.mapping for old in recorded if _reads_same_records(old, imported)}
    former = [
        old
        for old in recorded
        if imported and old.mapping in related and old.digest != digests.get(old.table)
    ]
    if mode == "rebuild":
        former = list(recorded)
    if mode == "replace":
        _require_files([old for old in former if old.table in digests])
    kept = [old for old in recorded if old not in former]
    if mode == "keep":
        # No later import replaces them, since they belong to no mapping any more.
        kept += [replace(old, mapping="", location="", files=()) for old in former]
    numbered, contributions = _number(sources, kept, related)
    return SourcePlan(numbered, contributions, [] if mode == "keep" else former)


def _number(
    sources: list[SourceTable], kept: list[Contribution], related: Collection[str]
) -> tuple[list[SourceTable], list[Contribution]]:
    """Give sources the numbers of kept contributions that they continue, or free numbers.

    Returns
    -------
    The sources, and the record with their contributions.
    """
    numbered, contributions = [], list(kept)
    for source in sources:
        origin = source.provenance
        if origin is None:
            numbered.append(source)
            continue
        continued = [
            old
            for old in contributions
            if (old.table, old.number) == (source.name, source.number)
            and old.source is not None
            and old.mapping in related
        ]
        used = {old.source for old in contributions if old.table == source.name}
        free = next(number for number in count() if number not in used)
        former = continued[0] if continued else None
        number = free if former is None else former.source
        numbered.append(replace(source, source=number))
        if former is None or not origin.replayed:
            contributions = [old for old in contributions if old is not former]
            contributions.append(_contribution(source, origin, number, former))
    return numbered, contributions


def _contribution(
    source: SourceTable, origin: Provenance, number: int | None, former: Contribution | None
) -> Contribution:
    files = {file for file in source.files if file is not None}
    return Contribution(
        source.name,
        number,
        source.number,
        origin.mapping,
        origin.digest,
        origin.location,
        origin.folder,
        tuple(sorted(files.union(former.files if former is not None else ()))),
    )


def _reads_same_records(old: Contribution, imported: list[tuple[SourceTable, Provenance]]) -> bool:
    """Whether a contribution came from orders or sales that arrive again."""
    if old.table not in _TRANSACTIONS:
        return False
    files = {Path(old.folder) / file for file in old.files}
    return any(
        source.name in _TRANSACTIONS
        and (
            old.location == origin.location
            or files & {Path(origin.folder) / file for file in source.files if file is not None}
        )
        for source, origin in imported
    )


def _require_files(superseded: list[Contribution]) -> None:
    """Check that the files of superseded rows still exist, to be read again."""
    gone = [(old.table, file) for old in superseded for file in old.gone_files]
    if not gone:
        return
    tables = ", ".join(dict.fromkeys(table for table, _ in gone))
    names = ", ".join(dict.fromkeys(file for _, file in gone[:_SHOWN]))
    raise InvalidInput(
        f"The mapping of {tables} changed since the last import, so that all rows are read again, "
        f"but {len(gone)} of the files that they came from are gone: {names}. Bring the files "
        "back, give --rebuild to go without their rows, or --keep to leave the stored rows as the "
        "former mapping read them.",
        field="path",
    )


def remove_rows(
    folder: Path,
    table: str,
    parts: list[str],
    numbers: Collection[int | None] | None,
    rows_per_part: int,
) -> tuple[list[str], int]:
    """Remove the rows of some sources from a table; rules on links, which users set, stay.

    Parameters
    ----------
    numbers
        Numbers of the sources; None for all rows.

    Returns
    -------
    Names of the remaining parts, and the number of removed rows.
    """
    columns = scan_parts(folder, parts).collect_schema().names()
    if numbers is None:
        removed = pl.lit(value=True)
    elif SOURCE in columns:
        known = [number for number in numbers if number is not None]
        removed = pl.col(SOURCE).is_in(known).fill_null(value=None in numbers)
    else:
        removed = pl.lit(None in numbers)
    if table in LINK_TABLES.values():
        removed &= pl.col("undone").is_null()
    rows = scan_parts(folder, parts)
    total = int(rows.select(pl.len()).collect().item())
    left = int(rows.filter(~removed).select(pl.len()).collect().item())
    if left in (0, total):
        return parts if left else [], total - left
    names = [
        write_part(folder, table, scan_parts(folder, [part]).filter(~removed).collect())
        for part in parts
    ]
    names = repartition(folder, TABLES[table], names, part_count(left, rows_per_part))
    return names, total - left
