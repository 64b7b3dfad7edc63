"""A source's rows of one canonical table, with the rules that apply to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from features.ingest.line_numbers import LineIdentity
from features.ingest.validation import Rule


@dataclass(frozen=True)
class Provenance:
    """Where rows come from, and by which description they are read.

    Attributes
    ----------
    mapping
        Absolute path of the mapping file.
    digest
        Hash of what the mapping says about the table.
    location
        Absolute glob of the files, or a hash of a database's URL and query.
    folder
        Base of the names of files.
    read_day
        Day of the import, in days since 1970-01-01.
    replayed
        Whether the rows are read again from quarantine.
    position
        Of an event log, the last position that was read.
    """

    mapping: str
    digest: str
    location: str
    folder: str
    read_day: int
    replayed: bool = False
    position: int = 0


@dataclass(frozen=True)
class SourceTable:
    """Rows of one canonical table from one source.

    Attributes
    ----------
    name
        The canonical table.
    frame
        The rows. A lazy frame is read as a stream of batches.
    rules
        Rules of the source, in addition to those of the table.
    touched
        Numbers of modified rows by rule, where the source knows them beforehand.
    unique
        Whether the source guarantees distinct keys.
    transform
        Turns a batch of `frame` into canonical rows, with columns as in `features.tables`;
        columns beyond those serve the rules, or are attributes of an open-ended table. It may
        omit rows that do not belong to the table. None if `frame` is canonical.
    touched_flags, noted_flags
        Rule or remark by the name of a boolean column that `transform` adds; accepted rows with
        the flag are counted.
    line_identity
        How lines of an order are recognised, for sources without line numbers.
    number
        Position of the source among the table's sources.
    files
        Files that are read, as in SOURCE_FILE.
    mapping_lines
        Line of the mapping file that states a column, by column.
    provenance
        The mapping that describes the source, if there is one.
    gives_way
        Whether lines of an order are left out if another source has the order.
    source
        Number of the source in stored rows; an import sets it.
    """

    name: str
    frame: pl.DataFrame | pl.LazyFrame
    rules: list[Rule] = field(default_factory=list)
    touched: dict[str, int] = field(default_factory=dict)
    unique: bool = False
    transform: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    touched_flags: dict[str, str] = field(default_factory=dict)
    noted_flags: dict[str, str] = field(default_factory=dict)
    line_identity: LineIdentity | None = None
    number: int = 0
    files: tuple[str | None, ...] = (None,)
    mapping_lines: Mapping[str, int | None] = field(default_factory=dict)
    provenance: Provenance | None = None
    gives_way: bool = False
    source: int | None = None

    def canonical(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Return a batch of `frame` as canonical rows."""
        return batch if self.transform is None else self.transform(batch)
