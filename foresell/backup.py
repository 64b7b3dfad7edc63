"""One archive of a home and of MLflow's store: written while the service runs, verified when read.

The archive is a tar file with `home/...`, `mlruns/...` and, last, `backup.json` with the size and
SHA-256 of every file. Databases in files are copied by SQLite's online backup. Databases of
PostgreSQL are not in it; their own tools (pg_dump) back them up.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from features.errors import InvalidInput, NotFound
from features.storage.locks import job_lock
from features.storage.snapshots import list_datasets
from foresell.settings import Settings
from training.published import digests
from training.published.digests import FileDigest
from training.published.pending import PENDING
from training.registered import Registry

RECORD = "backup.json"
_HOME, _RUNS = "home", "mlruns"
_DATABASES = (".db", ".sqlite")
# What belongs to running processes, and is nothing without them.
_TRANSIENT = ("*.lock", "*.pid", PENDING, "*-wal", "*-shm", "*-journal")
_SCRATCH = "scratch"
# Columns of MLflow's database with the place of artifacts.
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


class Backup(BaseModel):
    """What an archive contains.

    Attributes
    ----------
    created
        When it was written.
    artifacts
        URI of the folder of artifacts, as MLflow's database names it.
    files
        Size and SHA-256 of every file by its path in the archive.
    """

    created: datetime
    artifacts: str
    files: dict[str, FileDigest]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def backup(settings: Settings, out: Path) -> tuple[Path, Backup]:
    """Write an archive to a file, or to a new file in a folder; return its path and contents.

    Raises
    ------
    NotFound
        If there is neither a home nor a store of runs.
    InvalidInput
        If the file's folder does not exist.
    Unavailable
        If an import or a training job is running.
    """
    roots = _roots(settings)
    if not any(_entries(root) for root in roots.values()):
        raise NotFound(
            f"There is nothing to back up in {settings.home} and {settings.mlruns}; set "
            "FORESELL_HOME and FORESELL_MLRUNS.",
            field="home",
        )
    if out.is_dir():
        out = out / f"foresell-{datetime.now():%Y%m%d-%H%M%S}.tar"
    if not out.parent.is_dir():
        raise InvalidInput(f"out = {out}: there is no folder {out.parent}.", field="out")
    if any(out.absolute().is_relative_to(root) for root in roots.values()):
        raise InvalidInput(
            f"out = {out} is in what it would back up; name a file elsewhere.", field="out"
        )
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with _idle(settings.home), tarfile.open(draft, "w") as archive:
            files: dict[str, FileDigest] = {}
            for name, root in roots.items():
                for path in _files(root):
                    member = f"{name}/{path.relative_to(root).as_posix()}"
                    files[member] = _add(archive, path, member, files)
            artifacts = Registry(settings.mlruns).artifacts.as_uri()
            record = Backup(created=datetime.now(), artifacts=artifacts, files=files)
            content = record.model_dump_json(indent=1).encode()
            info = tarfile.TarInfo(RECORD)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return out, record


def restore(settings: Settings, file: Path, *, force: bool = False) -> Backup:
    """Replace the home and the store of runs by an archive's, after all its files are verified.

    The archive is unpacked beside what it replaces, which takes as much space again. What is in
    its place is removed last, so that a damaged archive changes nothing.

    Parameters
    ----------
    force
        Whether to replace a home or store that is not empty.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidInput
        If it is no archive of Foresell or is damaged, or something would be replaced without
        `force`.
    Unavailable
        If an import or a training job is running.
    """
    if not file.is_file():
        raise NotFound(f"There is no archive {file}.", field="file")
    roots = _roots(settings)
    filled = [str(root) for root in roots.values() if _entries(root)]
    if filled and not force:
        raise InvalidInput(
            f"{' and '.join(filled)} would be replaced; stop the service and give --force, or set "
            "FORESELL_HOME and FORESELL_MLRUNS to empty folders.",
            field="force",
        )
    with ExitStack() as stack:
        stack.enter_context(_idle(settings.home))
        # Within each root, since the roots may be on different disks and be mounted themselves.
        staged = {name: stack.enter_context(_staging(root)) for name, root in roots.items()}
        record = _unpack(file, staged)
        _relocate(Registry(staged[_RUNS]).file, record.artifacts, settings)
        for name, root in roots.items():
            _swap(root, staged[name])
    return record


def _roots(settings: Settings) -> dict[str, Path]:
    return {_HOME: settings.home.absolute(), _RUNS: settings.mlruns.absolute()}


@contextmanager
def _idle(home: Path) -> Iterator[None]:
    """Keep jobs that change the home from running meanwhile."""
    with ExitStack() as stack:
        stack.enter_context(job_lock(home, "retrain"))
        for name in list_datasets(home):
            stack.enter_context(job_lock(home, f"import-{name}"))
        yield


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix=".restore-") as folder:
        yield Path(folder)


def _entries(root: Path) -> list[Path]:
    """Return what a root contains and a restoration replaces."""
    if not root.is_dir():
        return []
    passing = ("README.md", _SCRATCH)
    return [
        path
        for path in sorted(root.iterdir())
        if not path.name.startswith(".")
        and path.name not in passing
        and not any(path.match(pattern) for pattern in _TRANSIENT)
    ]


def _files(root: Path) -> Iterator[Path]:
    """Yield the files to store; names of drafts begin with a dot."""
    for entry in _entries(root):
        for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if path.is_file() and not hidden and not any(map(path.match, _TRANSIENT)):
                yield path


def _add(
    archive: tarfile.TarFile, path: Path, member: str, files: dict[str, FileDigest]
) -> FileDigest:
    """Add a file to an archive; return the digest of what was added."""
    if path.suffix in _DATABASES:
        with TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            return _add_file(archive, copy, member, files)
    return _add_file(archive, path, member, files)


def _add_file(
    archive: tarfile.TarFile, path: Path, member: str, files: dict[str, FileDigest]
) -> FileDigest:
    with path.open("rb") as stream:
        info = archive.gettarinfo(arcname=member, fileobj=stream)
        # Published versions share files by links.
        if info.islnk():
            archive.addfile(info)
            return files[info.linkname]
        reader = _Hashing(stream)
        archive.addfile(info, reader)  # type: ignore[arg-type]
        return FileDigest(size=info.size, sha256=reader.sha256.hexdigest())


class _Hashing:
    """A stream that hashes what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.sha256 = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.sha256.update(block)
        return block


def _unpack(file: Path, staged: dict[str, Path]) -> Backup:
    """Unpack each root of an archive into its folder, and verify all files."""
    with TemporaryDirectory(dir=staged[_HOME]) as folder:
        try:
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
            record = Backup.model_validate_json((Path(folder) / RECORD).read_bytes())
        except (tarfile.TarError, EOFError, OSError, ValidationError) as error:
            raise InvalidInput(
                f"{file} is no complete archive of `foresell backup` ({type(error).__name__}); "
                "nothing was changed. Use another one.",
                field="file",
            ) from error
        (Path(folder) / RECORD).unlink()
        unpacked = digests.measure(Path(folder))
        names = sorted({*unpacked, *record.files})
        damaged = [name for name in names if unpacked.get(name) != record.files.get(name)]
        if damaged:
            raise InvalidInput(
                f"{file}: {len(damaged)} of {len(record.files)} files are missing or differ from "
                f"what was stored, such as {damaged[0]}; nothing was changed. Use another archive.",
                field="file",
            )
        for name, target in staged.items():
            for path in (Path(folder) / name).glob("*"):
                shutil.move(path, target / path.name)
    return record


def _relocate(database: Path, former: str, settings: Settings) -> None:
    """Make MLflow's database name the present folder of artifacts."""
    now = Registry(settings.mlruns).artifacts.as_uri()
    if not database.is_file() or former == now:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in _LOCATIONS:
            connection.execute(
                f"update {table} set {column} = ? || substr({column}, ?) "  # noqa: S608
                f"where substr({column}, 1, ?) = ?",
                (now, len(former) + 1, len(former), former),
            )


def _swap(root: Path, staged: Path) -> None:
    """Put what is staged in the place of a root's entries, which go with the staging folder."""
    new = list(staged.iterdir())
    old = staged / ".replaced"
    old.mkdir()
    for path in _entries(root):
        path.rename(old / path.name)
    for path in new:
        path.rename(root / path.name)
