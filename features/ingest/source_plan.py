"""Plan of an import: recorded contributions and arriving source tables in, what is replaced out.

A changed mapping replaces the rows that its former version contributed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import polars as pl

from features.errors import InvalidInput
from features.identity import LINK_TABLES
from features.ingest.merging import repartition
from features.ingest.provenance import Contribution
from features.ingest.source_table import Provenance, SourceTable
from features.storage.snapshots import SOURCE, part_count, scan_parts, write_part
from features.tables import TABLES

# What an import does with rows that a former version of its mapping read: replace them if the files
# that they came from still exist; remove all stored rows; keep them.
Mode = Literal["replace", "rebuild", "keep"]
_TRANSACTIONS = ("orders", "sales")
_SHOWN = 3
# What is known of the deliveries of a source, whichever mapping read it.
_DELIVERIES = ("newest", "delay", "least_delay", "advances")


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

    def accepted_files(self, source: SourceTable) -> Mapping[str, tuple[int, int]] | None:
        """Return the counts of files that earlier imports accepted; None if they are not known."""
        own = [old for old in self.contributions if old.table == source.name]
        if any(old.source is None for old in own):
            return None
        return next((old.files for old in own if old.source == source.source), {})

    def records(
        self,
        counts: Mapping[tuple[str, int | None], Mapping[str, tuple[int, int]]],
        newest: Mapping[tuple[str, int | None], int],
    ) -> list[dict[str, Any]]:
        """Return the contributions as records for JSON, brought up to date.

        Parameters
        ----------
        counts
            By table and source, the numbers of rows and of failing rows of each file read.
        newest
            By table and source, the day of the newest stored record.
        """
        read_days = {
            (source.name, source.source): source.provenance.read_day
            for source in self.sources
            if source.provenance is not None and not source.provenance.replayed
        }
        records = []
        for contribution in self.contributions:
            key = contribution.table, contribution.source
            if key in read_days:
                files = {**contribution.files, **counts.get(key, {})}
                contribution = replace(contribution, files=files)
                contribution = contribution.seen(newest.get(key), read_days[key])
            records.append(asdict(contribution))
        return records

    def superseded_numbers(self, table: str) -> set[int | None]:
        """Return the numbers of the sources of a table whose rows are replaced."""
        return {old.source for old in self.superseded if old.table == table}


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
    # An event log is no mapping, and is never read in another way.
    imported = [
        (source, origin) for source, origin in origins if not (origin.replayed or source.gives_way)
    ]
    digests = {source.name: origin.digest for source, origin in imported}
    related = {origin.mapping for source, origin in origins if not source.gives_way}
    related |= {old.mapping for old in recorded if _reads_same_records(old, imported)}
    former = [
        old
        for old in recorded
        if imported and old.mapping in related and old.digest != digests.get(old.table)
    ]
    related |= {origin.mapping for _, origin in origins}
    if mode == "rebuild":
        former = list(recorded)
    if mode == "replace":
        _require_files([old for old in former if old.table in digests])
    kept = [old for old in recorded if old not in former]
    if mode == "keep":
        # No later import replaces them, since they belong to no mapping any more.
        kept += [replace(old, mapping="", location="", files={}) for old in former]
    earlier = {(old.table, old.number): old for old in former}
    numbered, contributions = _number(sources, kept, related, earlier)
    return SourcePlan(numbered, contributions, [] if mode == "keep" else former)


def _number(
    sources: list[SourceTable],
    kept: list[Contribution],
    related: Collection[str],
    earlier: Mapping[tuple[str, int], Contribution],
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
            before = former or earlier.get((source.name, source.number))
            contribution = _contribution(source, origin, number, before)
            known = former.files if former is not None else {}
            contributions.append(replace(contribution, files=known))
    return numbered, contributions


def _contribution(
    source: SourceTable, origin: Provenance, number: int | None, before: Contribution | None
) -> Contribution:
    """Return a new contribution; what was seen of its deliveries is that of the one before."""
    seen = {} if before is None else {name: getattr(before, name) for name in _DELIVERIES}
    return Contribution(
        source.name,
        number,
        source.number,
        origin.mapping,
        origin.digest,
        origin.location,
        origin.folder,
        position=origin.position,
        **seen,
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
