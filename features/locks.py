"""Locks between processes: one import a dataset, one retraining job a home."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
