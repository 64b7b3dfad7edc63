"""Health of a dataset's imports: recorded contributions, stored rows and quarantine in, faults out.

A file whose rows fail and a source that stopped delivering disappear in the totals of a long
history; here each is judged by itself.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_date
from features.errors import ForesellError, ImportRejected, Unavailable
from features.ingest.provenance import Contribution, recorded_contributions
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.storage.snapshots import (
    SOURCE,
    dataset_folder,
    list_datasets,
    read_head,
    read_snapshot,
    scan_parts,
    write_durably,
)
from features.tables import PAST_TABLES

Days = NDArray[np.int64]
_FAILURE = "failed-import.json"
# With fewer pauses between days with records, no pause is unusual.
_MIN_PAUSES = 10
# A pause is usual up to this quantile, and a source is late after twice the longest usual one.
_USUAL_SHARE = 0.99
_MIN_ALLOWED_DAYS = 3


@dataclass(frozen=True)
class SourceHealth:
    """One source of a dated table, or a source with failing files.

    Attributes
    ----------
    table, source
        The canonical table, and where its records lie.
    files
        Number of files that were read.
    newest
        Date of the newest stored record; None for tables without dates.
    days_late
        Days for which records have been missing, if it is longer than its pauses; else 0.
    failing_files
        Files of which too large a share of rows failed, with that share.
    """

    table: str
    source: str
    files: int
    newest: str | None
    days_late: int
    failing_files: dict[str, float]


@dataclass(frozen=True)
class ImportHealth:
    """What the imports of a dataset left to look at.

    Attributes
    ----------
    quarantined
        Quarantined rows by table, without those that the mapping drops.
    sources
        The sources of the current snapshot.
    failure
        When and why the last import failed; None if it succeeded.
    """

    quarantined: dict[str, int]
    sources: list[SourceHealth]
    failure: str | None

    @property
    def failing_files(self) -> list[str]:
        """Descriptions of the files of which too large a share of rows failed."""
        return [
            f"{file} ({source.table}, {share:.0%} of its rows)"
            for source in self.sources
            for file, share in source.failing_files.items()
        ]

    @property
    def late_sources(self) -> list[str]:
        """Descriptions of the sources that stopped delivering."""
        return [
            f"{source.source} ({source.table}, nothing since {source.newest})"
            for source in self.sources
            if source.days_late
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def read_health(home: Path, dataset: str, max_bad_share: float) -> ImportHealth:
    """Judge the imports of a dataset.

    Parameters
    ----------
    max_bad_share
        Share of failing rows above which a file counts as failing.
    """
    folder = dataset_folder(home, dataset)
    rejected = scan_quarantine(quarantine_file(home, dataset)).filter(~pl.col("dropped"))
    counts = rejected.group_by("table").len().sort("len", "table", descending=[True, False])
    days = _recorded_days(folder)
    sources = [
        SourceHealth(
            old.table,
            old.label,
            len(old.files),
            str(to_date(int(own[-1]))) if own is not None else None,
            _days_late(old, days),
            {
                file: round(failing / read, 4)
                for file, (read, failing) in old.files.items()
                if failing > max_bad_share * read
            },
        )
        for old in recorded_contributions(home, dataset)
        if old.mapping
        for own in [days.get((old.table, old.source))]
    ]
    failure = folder / _FAILURE
    text = json.loads(failure.read_text())["failure"] if failure.is_file() else None
    return ImportHealth(dict(counts.collect().rows()), sources, text)


@contextmanager
def record_failure(home: Path, dataset: str, now: datetime) -> Iterator[None]:
    """Record why an import within this context fails, for later reports; success removes it."""
    folder = dataset_folder(home, dataset)
    try:
        yield
    except Unavailable:
        raise
    except ForesellError as error:
        if dataset in list_datasets(home):
            # The full message may quote a record.
            text = error.summary if isinstance(error, ImportRejected) else error.message
            content = json.dumps({"failure": f"{now:%Y-%m-%d %H:%M}: {text}"})
            write_durably(folder / _FAILURE, content)
        raise
    clear_failure(folder)


def clear_failure(folder: Path) -> None:
    """Forget the failure of the last import into the dataset in a folder."""
    (folder / _FAILURE).unlink(missing_ok=True)


def _recorded_days(folder: Path) -> dict[tuple[str, int | None], Days]:
    """Return the sorted days with records, by table and number of the source."""
    parts = read_snapshot(folder, read_head(folder))
    days: dict[tuple[str, int | None], Days] = {}
    for table in (name for name in PAST_TABLES if name in parts):
        rows = scan_parts(folder, parts[table])
        if SOURCE not in rows.collect_schema():
            rows = rows.with_columns(pl.lit(None, dtype=pl.UInt16).alias(SOURCE))
        distinct = rows.select(SOURCE, pl.col("day").cast(pl.Int64)).unique().collect()
        for (source,), frame in distinct.partition_by(SOURCE, as_dict=True).items():
            number = None if source is None else int(source)
            days[table, number] = np.sort(frame.get_column("day").to_numpy())
    return days


def _days_late(old: Contribution, days: dict[tuple[str, int | None], Days]) -> int:
    """Return for how many days a source has delivered nothing, if it is late; else 0.

    It is late compared with other sources, unless one of them took over when it ended, or, once
    it has delivered between imports, compared with the delay that its records usually have.
    """
    own = days.get((old.table, old.source))
    if own is None or len(own) <= _MIN_PAUSES:
        return 0
    usual = int(np.quantile(np.diff(own), _USUAL_SHARE, method="lower"))
    allowed = max(_MIN_ALLOWED_DAYS, 2 * usual)
    last = int(own[-1])
    others = [other for key, other in days.items() if key != (old.table, old.source)]
    behind = max((int(other[-1]) - last for other in others), default=0)
    was_relieved = any(
        int(other[0]) >= last - allowed
        for (table, source), other in days.items()
        if table == old.table and source != old.source
    )
    if was_relieved:
        return 0
    late = max(behind, old.growth_of_delay)
    return late if late > allowed else 0
