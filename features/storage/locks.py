"""Locks between processes, and scratch folders that do not outlive their process.

A home and the name of a job go in; a context manager holds the lock of the job.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from features.errors import Unavailable


@contextmanager
def job_lock(home: Path, name: str) -> Iterator[None]:
    """Exclude other jobs of a name while this one runs.

    The system releases the lock when its process ends, in whatever way. The file has the owner's
    process id, for the error message alone.

    Raises
    ------
    Unavailable
        If a live process holds the lock.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name}.lock"
    while True:
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Unavailable(
                    f"Another {name} job (process {lock.read() or 'just starting'}) holds "
                    f"{path}; wait for it to end.",
                    field="job",
                ) from None
            # The former owner may have removed the file after this process opened it.
            if not _is_same_file(lock.fileno(), path):
                continue
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Create an empty folder for the duration of a context; remove those of killed processes."""
    parent = home / "scratch"
    with _scratch_turn(parent):
        _remove_abandoned(parent)
        scratch = TemporaryDirectory(dir=parent)
        held = os.open(scratch.name, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with scratch as name:
            yield Path(name)
    finally:
        os.close(held)


def clean_up_scratch(home: Path) -> None:
    """Remove the scratch folders of killed processes, which may hold records of customers."""
    parent = home / "scratch"
    with _scratch_turn(parent):
        _remove_abandoned(parent)


@contextmanager
def _scratch_turn(parent: Path) -> Iterator[None]:
    """Let one process at a time create and remove scratch folders."""
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_abandoned(parent: Path) -> None:
    """Remove scratch folders without a live owner."""
    for folder in parent.glob("*/"):
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder)
        finally:
            os.close(held)
