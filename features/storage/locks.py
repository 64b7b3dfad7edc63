"""Between processes: one import a dataset, one retraining job a home, and each its own scratch."""

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
    """Keep a second job out for as long as the first lives.

    The system holds the lock for the process and lets go of it when the process ends, however
    it ends; what the file says is for people.

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
            # The holder before may have removed this very file between our open and our lock.
            if not _is_at(lock.fileno(), path):
                continue
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Lend an empty folder for as long as a process works; what killed ones left behind goes."""
    place = home / "scratch"
    with _turn(place):
        _sweep(place)
        scratch = TemporaryDirectory(dir=place)
        held = os.open(scratch.name, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with scratch as name:
            yield Path(name)
    finally:
        os.close(held)


def clean_up_scratch(home: Path) -> None:
    """Remove what processes that were killed have left: it may hold people's records."""
    place = home / "scratch"
    with _turn(place):
        _sweep(place)


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Let one process at a time make and remove scratch folders."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(place: Path) -> None:
    for folder in place.glob("*/"):
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder)
        finally:
            os.close(held)
