"""Datasets: canonical tables of one snapshot, from disk or from frames in memory.

Feature builders read records through `Dataset.known`, which excludes records from `as_of` on.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import narwhals as nw
import polars as pl

from features.calendar import (
    AsOf,
    covered_days,
    day_start,
    last_covered_day,
    parse_as_of,
    step_days,
    to_day,
)
from features.customers.population_statistics import PopulationStatistics
from features.errors import InvalidInput, MissingData, NotFound
from features.identity import unify
from features.ingest.report import ImportReport
from features.memo import Memo, Result, memo
from features.privacy.consent import apply_consent, consenting_ids
from features.storage.snapshots import (
    dataset_folder,
    list_datasets,
    read_head,
    read_snapshot,
    scan_table,
)
from features.typing import Frame


@dataclass(frozen=True)
class Dataset:
    """The records of a retailer in one snapshot; immutable.

    Attributes
    ----------
    name
        The dataset's name.
    snapshot
        Content hash of the snapshot.
    tables
        Canonical tables as lazy frames of any engine that Narwhals supports.
    population
        Population statistics, for a dataset with a part of the customers. None if the tables have
        all customers: builders then compute the statistics.
    results
        Results of memoised functions (`features.memo`) by function and arguments.
    report, quarantine
        Row counts of the import, and rejected rows, for a dataset of frames.
    """

    name: str
    snapshot: str
    tables: Mapping[str, Frame]
    population: PopulationStatistics | None = None
    results: dict[tuple[Memo[Any, Any, Any], Hashable], Any] = field(
        default_factory=dict, repr=False, compare=False
    )
    report: ImportReport | None = field(default=None, repr=False, compare=False)
    quarantine: pl.DataFrame | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_frames(
        cls,
        name: str,
        frames: Mapping[str, Any],
        *,
        local_time_zone: str | None = None,
        max_bad_share: float = 0.05,
    ) -> Self:
        """Make a dataset of frames in memory; they are parsed and checked like files.

        Invalid rows are quarantined, with a warning. A frame needs the columns that a mapping
        needs: `line`, `kind`, `day` and others are derived, `revenue` from `unit_price`.

        Parameters
        ----------
        frames
            Frame by table: of pandas, Polars, or any engine that Narwhals supports. Columns have
            the names in `features.tables`; days are dates, or days since 1970-01-01.
        local_time_zone
            The retailer's time zone, for timestamps with a zone.
        max_bad_share
            Share of invalid rows of a table above which the frames are refused.

        Raises
        ------
        InvalidInput
            If a table is unknown or lacks a required column, or a time zone is missing.
        ImportRejected
            If too large a share of a table's rows is invalid.
        """
        # Reading a dataset does not need what importing needs.
        from features.ingest.frames import import_frames

        imported = import_frames(name, frames, local_time_zone, max_bad_share)
        return cls(
            name,
            imported.snapshot,
            apply_consent(imported.tables),
            report=imported.report,
            quarantine=imported.quarantine,
        )

    @classmethod
    def from_long(
        cls, frame: Any, name: str = "series", *, local_time_zone: str | None = None
    ) -> Self:
        """Make a dataset of a long frame of series: `unique_id`, `ds`, `y`, exogenous columns.

        `features.long_frames` describes the tables that it becomes; `from_frames` checks them.

        Raises
        ------
        InvalidInput
            If a column is missing, or an exogenous one holds no numbers.
        ImportRejected
            If too many rows are invalid.
        """
        from features.long_frames import tables_of_series

        tables = tables_of_series(frame, local_time_zone)
        return cls.from_frames(name, tables, local_time_zone=local_time_zone)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the dataset has a table with all of these columns."""
        return table in self.tables and set(columns) <= set(self.columns(table))

    def require(self, table: str, column: str, by: str) -> None:
        """Check that the dataset has a column.

        Parameters
        ----------
        by
            What needs the column: the subject of the error message.

        Raises
        ------
        MissingData
            If the column is missing; names table and column.
        """
        if not self.has(table, column):
            raise MissingData(
                f"{by} needs the column {column!r} of table {table!r}, which dataset {self.name} "
                "lacks.",
                field=f"{table}.{column}",
            )

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns."""
        return self.table(table).collect_schema().names()

    def table(self, name: str) -> Frame:
        """Return a table.

        Raises
        ------
        MissingData
            If the dataset has no such table.
        """
        if name not in self.tables:
            raise MissingData(
                f"Dataset {self.name} has no table {name!r}, which is required; "
                f"it has {', '.join(self.tables)}. Import it, or choose another dataset.",
                field=name,
            )
        return self.tables[name]

    def known(self, table: str, as_of: AsOf) -> Frame:
        """Return the rows of a dated table that were known at `as_of`.

        Of tables with `ts` these are the rows before `as_of`; of tables with `day` alone, the rows
        of days that had ended, and of weeks or months that had ended if `sales` has such periods.
        """
        frame = self.table(table)
        if "ts" in frame.collect_schema().names():
            return frame.filter(nw.col("ts") < parse_as_of(as_of))
        covered = self.period_days if table == "sales" else 1
        return frame.filter(last_covered_day(nw.col("day"), covered) < to_day(as_of))

    @property
    def records(self) -> str:
        """Name of the table of records: `orders`, or `sales` if there are no orders."""
        return "orders" if "orders" in self.tables else "sales"

    @property
    def period_days(self) -> int:
        """Days that a row of `sales` covers from its `day` on; see `calendar.step_days`."""
        return _period_days(self) if "sales" in self.tables else 1

    @property
    def days(self) -> tuple[int, int]:
        """First and last day that the records cover."""
        return covered_extent(self)

    @property
    def end(self) -> datetime:
        """The first instant after the last recorded day: the latest valid `as_of`."""
        return day_start(self.days[1] + 1)

    def instant(self, as_of: AsOf | None = None) -> datetime:
        """Parse an `as_of`; None means `end`.

        Raises
        ------
        InvalidInput
            If it cannot be parsed, or is after `end`: days without records would count as days
            without purchases.
        """
        instant = self.end if as_of is None else parse_as_of(as_of)
        if instant > self.end:
            raise InvalidInput(
                f"as_of = {instant.isoformat()} is after the last record of dataset {self.name}; "
                f"choose an instant up to {self.end.isoformat()}, or import newer records.",
                field="as_of",
            )
        return instant

    def with_results(self, results: Iterable[Result]) -> Self:
        """Return a copy that uses these results instead of computing them."""
        given = {(result.memo, result.arguments): result.value for result in results}
        return replace(self, results=self.results | given)

    def with_tables(self, snapshot: str, tables: Mapping[str, Frame]) -> Self:
        """Return a copy with some tables replaced; results that depend on them are dropped."""
        kept = {key: value for key, value in self.results.items() if key[0].survives(tables)}
        return replace(self, snapshot=snapshot, tables={**self.tables, **tables}, results=kept)


@memo("sales")
def _period_days(dataset: Dataset) -> int:
    days = dataset.table("sales").select("day").unique().collect().get_column("day")
    return step_days(days.to_list())


@memo("orders", "sales")
def covered_extent(dataset: Dataset) -> tuple[int, int]:
    """Return the first and the last day that the records cover.

    Raises
    ------
    MissingData
        If there are no records.
    """
    frame = dataset.table(dataset.records).select(
        nw.col("day").min().alias("first"), nw.col("day").max().alias("last")
    )
    first, last = frame.collect().row(0)
    if first is None:
        raise MissingData(
            f"Table {dataset.records!r} of dataset {dataset.name} has no rows; import records.",
            field=dataset.records,
        )
    step = dataset.period_days if dataset.records == "sales" else 1
    return int(first), int(last) + covered_days(int(last), step) - 1


def open_dataset(home: Path, name: str, snapshot: str | None = None) -> Dataset:
    """Open a dataset at a snapshot, by default the newest; tables are Polars scans.

    Customers without consent are anonymous (`features.privacy.consent`). Linked ids have one
    canonical id (`features.identity`).

    Raises
    ------
    NotFound
        If there is no such dataset or snapshot.
    """
    folder = dataset_folder(home, name)
    try:
        newest = read_head(folder)
        snapshot = snapshot or newest
        tables = _scan_tables(folder, snapshot)
        current = tables if snapshot == newest else _scan_tables(folder, newest)
    except FileNotFoundError as error:
        known = ", ".join(list_datasets(home)) or "none yet; run `foresell data import`"
        raise NotFound(
            f"There is no dataset {name!r}"
            + (f" with snapshot {snapshot!r}" if snapshot else "")
            + f" under {home}; there is: {known}.",
            field="dataset",
        ) from error
    return Dataset(name, snapshot, apply_consent(tables, current))


def count_consenting(home: Path, name: str) -> tuple[int, int] | None:
    """Count consenting customers and all customers; None if no consent is recorded."""
    tables = newest_tables(home, name)
    ids = consenting_ids(tables)
    if ids is None:
        return None
    return len(ids), tables["customers"].select(nw.len()).collect().item()


def newest_tables(home: Path, name: str) -> dict[str, Frame]:
    """Return the newest tables with all customers, whether or not they consent."""
    folder = dataset_folder(home, name)
    return _scan_tables(folder, read_head(folder))


def _scan_tables(folder: Path, snapshot: str) -> dict[str, Frame]:
    parts = read_snapshot(folder, snapshot)
    return unify(
        {table: nw.from_native(scan_table(folder, names)) for table, names in parts.items()}
    )
