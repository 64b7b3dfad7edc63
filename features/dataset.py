"""Dataset: a named, versioned set of canonical tables; the only way builders reach records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import narwhals as nw
from narwhals.typing import IntoFrame

from features.calendar import AsOf, covered_days, day_start, parse_as_of, step_days, to_day
from features.customers.population_statistics import PopulationStatistics
from features.errors import InvalidInput, MissingData, NotFound
from features.identity import unify
from features.memo import Memo, Result, memo
from features.privacy.consent import apply_consent, consenting_ids
from features.storage.snapshots import dataset_folder, read_head, read_snapshot, scan_parts
from features.tables import TABLES


@dataclass(frozen=True)
class Dataset:
    """A retailer's records at one moment; immutable.

    Attributes
    ----------
    name
        The dataset's name.
    snapshot
        Its content hash.
    tables
        Canonical tables as lazy frames of any engine that Narwhals knows.
    population
        Statistics of the whole population, for a dataset that holds only some of its customers;
        None if the tables hold everybody, and builders measure for themselves.
    results
        Results of memoised functions (`features.memo`) by function and arguments.
    """

    name: str
    snapshot: str
    tables: Mapping[str, nw.LazyFrame[Any]]
    population: PopulationStatistics | None = None
    results: dict[tuple[Memo[Any, Any], Any], Any] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def from_frames(cls, name: str, frames: Mapping[str, IntoFrame]) -> Self:
        """Wrap frames that are in memory already, of any engine; nothing is written.

        A missing `day` is taken from `ts` (where the engine counts minutes; Spark does not).

        Raises
        ------
        InvalidInput
            If a table is unknown or lacks a required column.
        """
        tables = {}
        for table_name, native in frames.items():
            if table_name not in TABLES:
                raise InvalidInput(
                    f"There is no table {table_name!r}; use one of {', '.join(TABLES)}.",
                    field=table_name,
                )
            frame = nw.from_native(native).lazy()
            columns = frame.collect_schema().names()
            if "ts" in columns and "day" not in columns:
                midnight = nw.col("ts").dt.truncate("1d")
                days = (midnight - datetime(1970, 1, 1)).dt.total_minutes() // 1440
                frame = frame.with_columns(days.cast(nw.Int32).alias("day"))
                columns.append("day")
            for required in TABLES[table_name].required:
                if required not in columns:
                    raise InvalidInput(
                        f"Table {table_name} lacks the column {required!r} "
                        f"({TABLES[table_name].columns[required].meaning}).",
                        field=f"{table_name}.{required}",
                    )
            tables[table_name] = frame
        return cls(name, "in-memory", apply_consent(tables))

    def has(self, table: str, *columns: str) -> bool:
        """Whether the dataset has a table with all of these columns."""
        return table in self.tables and set(columns) <= set(self.columns(table))

    def require(self, table: str, column: str, by: str) -> None:
        """Refuse to go on without a column.

        Parameters
        ----------
        by
            Who needs it, as a sentence begins.

        Raises
        ------
        MissingData
            Naming the table and the column.
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

    def table(self, name: str) -> nw.LazyFrame[Any]:
        """Return a table.

        Raises
        ------
        MissingData
            If the dataset has no such table.
        """
        if name not in self.tables:
            raise MissingData(
                f"Dataset {self.name} has no table {name!r}, which is needed here; "
                f"it has {', '.join(self.tables)}. Import it, or choose another dataset.",
                field=name,
            )
        return self.tables[name]

    def known(self, table: str, as_of: AsOf) -> nw.LazyFrame[Any]:
        """Return the rows of a time-stamped table that were known at `as_of`.

        Tables with an instant keep rows before it; tables with a day alone keep
        rows of days that had ended, and of weeks or months where those date `sales`.
        """
        frame = self.table(table)
        if "ts" in frame.collect_schema().names():
            return frame.filter(nw.col("ts") < parse_as_of(as_of))
        # Of a month as many as the longest has: none is known before it has ended.
        covered = self.period_days if table == "sales" else 1
        return frame.filter(nw.col("day") + covered <= to_day(as_of))

    @property
    def records(self) -> str:
        """The table that says what was sold: `orders`, or `sales` where there are none."""
        return "orders" if "orders" in self.tables else "sales"

    @property
    def period_days(self) -> int:
        """Days that a row of `sales` covers from its `day` on, as `calendar.step_days` tells."""
        return _period_days(self) if "sales" in self.tables else 1

    @property
    def days(self) -> tuple[int, int]:
        """First and last day that the records cover."""
        return covered_extent(self)

    @property
    def end(self) -> datetime:
        """The instant after the last recorded day: the latest `as_of` that knows it all."""
        return day_start(self.days[1] + 1)

    def instant(self, as_of: AsOf | None = None) -> datetime:
        """Read an `as_of` that somebody gave; `end` where nobody did.

        Raises
        ------
        InvalidInput
            If it cannot be read, or lies after `end`: days without records would count as days
            on which nobody bought.
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
        """Return a copy that receives these results instead of computing them."""
        received = {(result.memo, result.arguments): result.value for result in results}
        return replace(self, results=self.results | received)

    def with_tables(self, snapshot: str, tables: Mapping[str, nw.LazyFrame[Any]]) -> Self:
        """Return a copy with some tables replaced; results that depend on them are dropped."""
        kept = {key: value for key, value in self.results.items() if key[0].survives(tables)}
        return replace(self, snapshot=snapshot, tables={**self.tables, **tables}, results=kept)


@memo("sales")
def _period_days(dataset: Dataset) -> int:
    days = dataset.table("sales").select("day").unique().collect().get_column("day")
    return step_days(days.to_list())


@memo("orders", "sales")
def covered_extent(dataset: Dataset) -> tuple[int, int]:
    """Measure the first and the last day that the records cover."""
    frame = dataset.table(dataset.records).select(
        nw.col("day").min().alias("first"), nw.col("day").max().alias("last")
    )
    first, last = frame.collect().row(0)
    step = dataset.period_days if dataset.records == "sales" else 1
    return int(first), int(last) + covered_days(int(last), step) - 1


def list_datasets(home: Path) -> list[str]:
    """Names of the datasets under `home`."""
    return sorted(path.parent.name for path in (home / "datasets").glob("*/HEAD"))


def open_dataset(home: Path, name: str, snapshot: str | None = None) -> Dataset:
    """Open a dataset at a snapshot, by default the newest; frames are Polars scans.

    Who has not consented is nobody in it, see `features.privacy.consent`; ids that are one
    person's or
    one product's are one, see `features.identity`.

    Raises
    ------
    NotFound
        If there is no such dataset or snapshot.
    """
    folder = dataset_folder(home, name)
    try:
        newest = read_head(folder)
        snapshot = snapshot or newest
        tables = _scanned(folder, snapshot)
        asked = tables if snapshot == newest else _scanned(folder, newest)
    except FileNotFoundError as error:
        known = ", ".join(list_datasets(home)) or "none yet; run `foresell data import`"
        raise NotFound(
            f"There is no dataset {name!r}"
            + (f" with snapshot {snapshot!r}" if snapshot else "")
            + f" under {home}; there is: {known}.",
            field="dataset",
        ) from error
    return Dataset(name, snapshot, apply_consent(tables, asked))


def count_consenting(home: Path, name: str) -> tuple[int, int] | None:
    """Count who has agreed, and of how many; None where customers were not asked."""
    tables = newest_tables(home, name)
    agreed = consenting_ids(tables)
    if agreed is None:
        return None
    return len(agreed), tables["customers"].select(nw.len()).collect().item()


def newest_tables(home: Path, name: str) -> dict[str, nw.LazyFrame[Any]]:
    """Return the newest tables with everybody in them, whether or not they consent."""
    folder = dataset_folder(home, name)
    return _scanned(folder, read_head(folder))


def _scanned(folder: Path, snapshot: str) -> dict[str, nw.LazyFrame[Any]]:
    parts = read_snapshot(folder, snapshot)
    return unify(
        {table: nw.from_native(scan_parts(folder, names)) for table, names in parts.items()}
    )
