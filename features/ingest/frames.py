"""Import of frames: canonical frames of any engine in, checked tables in memory out.

The frames go through the import of files, into a temporary folder.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import narwhals as nw
import polars as pl

from features.errors import InvalidInput
from features.identity import unify
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.report import ImportReport
from features.ingest.sources.frames import read_frames
from features.ingest.validation import check_failing_share
from features.storage.snapshots import dataset_folder, read_snapshot, scan_table
from features.typing import Frame

_DATASET = "frames"


@dataclass(frozen=True)
class FrameImport:
    """Imported frames.

    Attributes
    ----------
    snapshot
        Content hash of the tables.
    tables
        The canonical tables.
    report
        Row counts by table.
    quarantine
        The rejected rows, as in the quarantine of a dataset on disk.
    """

    snapshot: str
    tables: Mapping[str, Frame]
    report: ImportReport
    quarantine: pl.DataFrame


def import_frames(
    name: str,
    frames: Mapping[str, Any],
    local_time_zone: str | None,
    max_bad_share: float,
) -> FrameImport:
    """Check and parse frames by the rules of files.

    Rejected rows and columns without a meaning are reported by a warning.

    Parameters
    ----------
    name
        Name of the dataset, for messages.
    frames
        Frame by canonical table, as in `sources.frames.read_frames`.
    local_time_zone
        The retailer's time zone, for timestamps with a zone.
    max_bad_share
        Share of failing rows of a table above which the frames are refused.

    Raises
    ------
    InvalidInput
        If a table is unknown, a frame lacks a column, or timestamps have a zone and
        `local_time_zone` is None.
    ImportRejected
        If too large a share of a table's rows is invalid.
    """
    with TemporaryDirectory(prefix="foresell-") as folder:
        home = Path(folder)
        with _remedies_for_frames():
            sources, unused = read_frames(frames, local_time_zone, datetime.now())
            report = import_tables(home, _DATASET, sources, 1.0)
        parts = read_snapshot(dataset_folder(home, _DATASET), report.snapshot)
        tables = {
            table: scan_table(dataset_folder(home, _DATASET), names).collect().lazy()
            for table, names in parts.items()
        }
        quarantine = scan_quarantine(quarantine_file(home, _DATASET)).collect()
    for table, counts in report.tables.items():
        rejected = quarantine.lazy().filter(pl.col("table") == table)
        failing = counts.quarantined - counts.dropped
        check_failing_share(
            name,
            table,
            counts.read,
            failing,
            rejected,
            max_bad_share,
            remedy="Correct the frame, or raise max_bad_share.",
        )
    _warn(name, unused, quarantine)
    unified = unify({table: nw.from_native(frame) for table, frame in tables.items()})
    return FrameImport(report.snapshot, unified, replace(report, dataset=name), quarantine)


@contextmanager
def _remedies_for_frames() -> Iterator[None]:
    """Replace advice that is about mapping files."""
    try:
        yield
    except InvalidInput as error:
        if error.field == "local_time_zone":
            message = (
                "The timestamps carry a time zone; pass the retailer's own, such as "
                "local_time_zone='Europe/Berlin', or convert them."
            )
        elif error.field == "decimal":
            message = f"{error.message.rpartition(';')[0]}; convert the column to numbers."
        else:
            raise
        raise InvalidInput(message, field=error.field) from None


def _warn(name: str, unused: Mapping[str, list[str]], quarantine: pl.DataFrame) -> None:
    """Warn of columns that are not used and of rejected rows."""
    notes = [f"{table} does not use {', '.join(columns)}" for table, columns in unused.items()]
    reasons = quarantine.group_by("table", "reason", maintain_order=True).len()
    notes += [f"{rows:,} rows of {table}: {reason}" for table, reason, rows in reasons.iter_rows()]
    if notes:
        hint = "; `.quarantine` has the rejected rows" if quarantine.height else ""
        # Of the caller of `Dataset.from_frames`.
        warnings.warn(f"{name}: {'; '.join(notes)}{hint}.", stacklevel=4)
