"""Locks between processes, and scratch folders that do not outlive their process.

A home and the name of a job go in; a context manager holds the lock of the job. The system
releases a lock when its process ends, in whatever way.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from features.errors import Unavailable

_SCRATCH = "scratch"


@contextmanager
def job_lock(home: Path, name: str) -> Iterator[None]:
    """Exclude other jobs of a name while this one runs.

    The owner's process id is in a file of its own: on Windows a locked file cannot be read. The
    lock file stays in place, because a process may have opened it already to lock it next.

    Raises
    ------
    Unavailable
        If a live process holds the lock.
    """
    home.mkdir(parents=True, exist_ok=True)
    path, owner = home / f"{name}.lock", home / f"{name}.pid"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        process = owner.read_text() if owner.exists() else ""
        raise Unavailable(
            f"Another {name} job (process {process or 'just starting'}) holds {path}; wait for it "
            "to end.",
            field="job",
        ) from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Create an empty folder for the duration of a context; remove those of killed processes."""
    parent = home / _SCRATCH
    with _scratch_turn(home):
        _remove_abandoned(parent)
        scratch = TemporaryDirectory(dir=parent)
        path = _lock_file(Path(scratch.name))
        lock = FileLock(path)
        lock.acquire(timeout=0)
    try:
        with scratch as name:
            yield Path(name)
    finally:
        with _scratch_turn(home):
            lock.release()
            path.unlink(missing_ok=True)


def clean_up_scratch(home: Path) -> None:
    """Remove the scratch folders of killed processes, which may hold records of customers."""
    with _scratch_turn(home):
        _remove_abandoned(home / _SCRATCH)


@contextmanager
def _scratch_turn(home: Path) -> Iterator[None]:
    """Let one process at a time create and remove scratch folders and their lock files."""
    (home / _SCRATCH).mkdir(parents=True, exist_ok=True)
    with FileLock(home / f"{_SCRATCH}.lock"):
        yield


def _remove_abandoned(parent: Path) -> None:
    """Remove scratch folders without a live owner, and their lock files."""
    folders = {path for path in parent.iterdir() if path.is_dir()}
    folders |= {path.with_suffix("") for path in parent.glob("*.lock")}
    for folder in folders:
        path = _lock_file(folder)
        try:
            with FileLock(path).acquire(timeout=0):
                if folder.exists():
                    shutil.rmtree(folder)
        except Timeout:
            continue
        path.unlink(missing_ok=True)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
