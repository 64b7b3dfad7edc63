"""Dataset: a named, versioned set of canonical tables; the only way builders reach records.

On disk, under `<home>/datasets/<name>/`: `tables/` holds content-addressed Parquet files,
`snapshots/<id>.json` says which of them make a snapshot, `HEAD` names the current one.
"""

import hashlib
import json
import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import narwhals as nw
import polars as pl
from narwhals.typing import IntoFrame

from features.calendar import AsOf, day_start, parse_as_of, to_day
from features.errors import InvalidInput, MissingData, NotFound
from features.tables import TABLES

T = TypeVar("T")


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
    """

    name: str
    snapshot: str
    tables: Mapping[str, nw.LazyFrame[Any]]
    _derived: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

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
        return cls(name, "in-memory", tables)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the dataset has a table with all of these columns."""
        return table in self.tables and set(columns) <= set(self.columns(table))

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
        rows of days that had ended.
        """
        frame = self.table(table)
        if "ts" in frame.collect_schema().names():
            return frame.filter(nw.col("ts") < parse_as_of(as_of))
        return frame.filter(nw.col("day") < to_day(as_of))

    @property
    def records(self) -> str:
        """The table that says what was sold: `orders`, or `sales` where there are none."""
        return "orders" if "orders" in self.tables else "sales"

    @property
    def days(self) -> tuple[int, int]:
        """First and last day with records."""

        def extent() -> tuple[int, int]:
            frame = self.table(self.records).select(
                nw.col("day").min().alias("first"), nw.col("day").max().alias("last")
            )
            first, last = frame.collect().row(0)
            return int(first), int(last)

        return self.derive("days", extent)

    @property
    def end(self) -> datetime:
        """The instant after the last recorded day: the latest `as_of` that knows it all."""
        return day_start(self.days[1] + 1)

    def derive(self, key: Hashable, build: Callable[[], T]) -> T:
        """Compute something that depends on this snapshot alone, once."""
        if key not in self._derived:
            self._derived[key] = build()
        value: T = self._derived[key]
        return value


def _folder(home: Path, name: str) -> Path:
    if not name or not all(part.isalnum() for part in name.replace("_", "-").split("-")):
        raise InvalidInput(
            f"Dataset name {name!r} may hold letters, digits, - and _ only.", field="dataset"
        )
    return home / "datasets" / name


def list_datasets(home: Path) -> list[str]:
    """Names of the datasets under `home`."""
    return sorted(path.parent.name for path in (home / "datasets").glob("*/HEAD"))


def open_dataset(home: Path, name: str, snapshot: str | None = None) -> Dataset:
    """Open a dataset at a snapshot, by default the newest; frames are Polars scans.

    Raises
    ------
    NotFound
        If there is no such dataset or snapshot.
    """
    folder = _folder(home, name)
    try:
        snapshot = snapshot or (folder / "HEAD").read_text().strip()
        files = json.loads((folder / "snapshots" / f"{snapshot}.json").read_text())
    except FileNotFoundError as error:
        known = ", ".join(list_datasets(home)) or "none yet; run `foresell data import`"
        raise NotFound(
            f"There is no dataset {name!r}"
            + (f" with snapshot {snapshot!r}" if snapshot else "")
            + f" under {home}; there is: {known}.",
            field="dataset",
        ) from error
    tables = {
        table: nw.from_native(pl.scan_parquet(folder / "tables" / file))
        for table, file in files.items()
    }
    return Dataset(name, snapshot, tables)


def write_snapshot(home: Path, name: str, frames: Mapping[str, pl.DataFrame]) -> str:
    """Store canonical frames as the dataset's newest snapshot and return its content hash.

    Rows are put in the order of their key, so the same content has the same hash however
    it arrived. `HEAD` moves last: a crash before that leaves the former snapshot current.
    """
    folder = _folder(home, name)
    for part in ("tables", "snapshots"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    files = {}
    for table in sorted(frames):
        key = [column for column in TABLES[table].key if column in frames[table].columns]
        draft = folder / "tables" / f".{table}.{os.getpid()}.parquet"
        frames[table].sort(key, maintain_order=True).write_parquet(draft, compression="zstd")
        with draft.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
            os.fsync(stream.fileno())
        files[table] = f"{table}-{digest}.parquet"
        draft.replace(folder / "tables" / files[table])
    content = json.dumps(files, indent=1, sort_keys=True)
    snapshot = hashlib.sha256(content.encode()).hexdigest()[:16]
    write_durably(folder / "snapshots" / f"{snapshot}.json", content)
    write_durably(folder / "HEAD", snapshot)
    return snapshot


def write_durably(path: Path, text: str) -> None:
    """Replace a file's content as a whole: readers see the old text or the new, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
