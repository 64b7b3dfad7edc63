"""Announcement of models in training: requests for them get a 503 until they are published.

`<home>/pending.json` names the job's process and the tasks; it is deleted when the job
ends, and counts for nothing if the process died.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from features.storage.snapshots import write_durably

PENDING = "pending.json"


class _Pending(BaseModel):
    pid: int
    tasks: tuple[str, ...]
    dataset: str | None = None


@contextmanager
def announced(home: Path, tasks: Iterable[str], dataset: str | None = None) -> Iterator[None]:
    """Announce tasks whose models are trained and published within the context."""
    path = home / PENDING
    announcement = _Pending(pid=getpid(), tasks=tuple(tasks), dataset=dataset)
    write_durably(path, announcement.model_dump_json() + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def pending(home: Path, dataset: str | None = None) -> tuple[str, ...]:
    """Return the tasks that a running job has announced, of one dataset or of any."""
    try:
        announcement = _Pending.model_validate_json((home / PENDING).read_bytes())
    except (OSError, ValidationError):
        return ()
    if None not in (dataset, announcement.dataset) and dataset != announcement.dataset:
        return ()
    return announcement.tasks if psutil.pid_exists(announcement.pid) else ()
