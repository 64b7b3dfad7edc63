"""Bring records in: what is bundled, or what a mapping file names, now and every night."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from features.dataset import list_datasets, open_dataset
from features.errors import InvalidInput, NotFound
from features.ingest.mapping.file import original_of, read_mapping, stored_copy
from features.ingest.mapping.schema import Mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file
from features.ingest.sources import BUNDLED
from features.ingest.staging import SourceTable
from features.ingest.validation import ImportReport
from features.privacy.pseudonyms import Pseudonyms, read_key_check, require_same_key
from features.storage.locks import scratch_folder
from features.storage.snapshots import dataset_folder
from foresell.progress import console, progress
from foresell.settings import Settings
from training.published import versions as published


def import_source(
    settings: Settings, source: str, *, if_missing: bool = False
) -> ImportReport | None:
    """Import a bundled source or what a mapping file names.

    Returns None where the dataset is there already and that is enough. A mapping file is kept
    under the home, so that the nightly job imports by it again.

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
                f"There is no source {source!r}: give a mapping file (*.toml), or what is "
                f"bundled: {', '.join(BUNDLED)}.",
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
        console.print(f"[bold]import {name}[/]: there already")
        return None
    with progress(f"import {name}", steps=2) as tell:
        report = bring_in(settings, name, mapping, tell)
    if mapping is not None:
        _keep_mapping(settings, Path(source), mapping)
    return report


def mapping_of(settings: Settings, name: str) -> Mapping | None:
    """Return the kept mapping by which a dataset is imported again; None for a bundled one.

    Raises
    ------
    NotFound
        If the dataset is neither bundled nor was brought in by a mapping.
    """
    if name in BUNDLED:
        return None
    kept = _kept_mapping(settings, name)
    if not kept.is_file():
        raise NotFound(
            f"Dataset {name!r} has no source to import from; bring it in with "
            f"`foresell data import MAPPING.toml`, or use what is bundled: {', '.join(BUNDLED)}.",
            field="dataset",
        )
    return read_mapping(kept)


def bring_in(
    settings: Settings, name: str, mapping: Mapping | None, tell: Callable[[str], None]
) -> ImportReport:
    """Read a bundled source, or what a mapping names, into its dataset."""
    from features.ingest.sources.mapped import read_mapped

    tell("read")
    key = _pseudonyms(settings, mapping)
    with scratch_folder(settings.home) as scratch:
        tables = (
            BUNDLED[name]()
            if mapping is None
            else read_mapped(mapping, datetime.now(), scratch, key)
        )
        tell("check and store")
        return _stored(settings, name, tables, settings.max_bad_share, key)


def _stored(
    settings: Settings,
    name: str,
    tables: Iterable[SourceTable],
    max_bad_share: float,
    key: Pseudonyms | None,
) -> ImportReport:
    """Bring tables into a dataset; who withdrew their consent is out of what is served with it."""
    check = key.check if key else None
    report = import_tables(settings.home, name, tables, max_bad_share, key_check=check)
    if published.current(settings.home) is not None:
        from training.release import republish

        republish(settings.home, name)
    return report


def _pseudonyms(settings: Settings, mapping: Mapping | None) -> Pseudonyms | None:
    """Return what takes the place of customers' ids, where the mapping asks for it."""
    if mapping is None or not mapping.pseudonymise:
        return None
    return Pseudonyms.from_key(settings.secret)


def pseudonym(settings: Settings, customer_id: str) -> str:
    """Return the id under which the settings' dataset knows a customer.

    Raises
    ------
    NotFound
        If there is no such dataset.
    InvalidInput
        If the key is missing, or another than the dataset's.
    """
    open_dataset(settings.home, settings.dataset)
    folder = dataset_folder(settings.home, settings.dataset)
    if read_key_check(folder) is None:
        return customer_id
    found = Pseudonyms.from_key(settings.secret)
    require_same_key(folder, found.check, has_data=True)
    return found.pseudonym(customer_id)


def replay_quarantine(settings: Settings, name: str) -> ImportReport:
    """Read a dataset's quarantined rows again, by its mapping as it stands today.

    Raises
    ------
    NotFound
        If the dataset was brought in by no mapping.
    InvalidInput
        If nothing that can be read again is in quarantine.
    """
    from features.ingest.sources.replay import read_quarantined

    if name in BUNDLED:
        raise InvalidInput(
            f"{name} is bundled and has no mapping that could have been mended.", field="dataset"
        )
    mapping_of(settings, name)
    kept = _kept_mapping(settings, name)
    path = original_of(kept)
    if not path.is_file() or read_mapping(path).name != name:
        path = kept
    mapping = read_mapping(path)
    key = _pseudonyms(settings, mapping)
    with progress(f"replay {name}", steps=2) as tell:
        tell(f"read by {path}")
        quarantine = quarantine_file(settings.home, name)
        tables = read_quarantined(quarantine, mapping, datetime.now())
        if not tables:
            raise InvalidInput(f"Nothing of {name} is in quarantine.", field="dataset")
        tell("check and store")
        report = _stored(settings, name, tables, 1.0, key)
    _keep_mapping(settings, path, mapping)
    return report


def sketch_mapping(files: list[Path], out: Path | None) -> str:
    """Draft a mapping of some files; where it is to be written, its dataset has the file's name.

    Raises
    ------
    InvalidInput
        If a file cannot be read, or the draft would replace a file.
    """
    from features.ingest.mapping_draft import sketch

    if out is not None and out.exists():
        raise InvalidInput(f"{out} is there already; choose another --out.", field="out")
    folder = Path.cwd() if out is None else out.resolve().parent
    with TemporaryDirectory(prefix="foresell-") as scratch:
        text = sketch(files, folder, Path(scratch), None if out is None else out.stem)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return text


def _kept_mapping(settings: Settings, name: str) -> Path:
    return settings.home / "sources" / f"{name}.toml"


def _keep_mapping(settings: Settings, path: Path, mapping: Mapping) -> None:
    kept = _kept_mapping(settings, mapping.name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    if kept.resolve() != path.resolve():
        # A url in it may hold a password.
        draft = kept.with_name(f".{kept.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(stored_copy(path, mapping), encoding="utf-8")
        draft.replace(kept)
