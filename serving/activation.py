"""Activation of a version by all workers of an instance at once.

Each worker states in a file which version it has loaded. When all living workers have loaded the
same one, a further file names it, and each of them answers from it from then on: a client that has
seen the new version never sees the former one again, whichever worker answers.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

ACTIVE = "active"
# A worker that cannot load a version delays the others by no more than this.
MOST_SECONDS = 60.0


class Activation:
    """Agreement of the workers on the version of one dataset.

    Parameters
    ----------
    folder
        Shared by the workers; created by the first.
    worker
        Name of this worker; by default the number of its process.
    most_seconds
        Longest wait for the others.
    clock
        Seconds.
    """

    def __init__(
        self,
        folder: Path,
        worker: str | None = None,
        most_seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.most_seconds, self.clock = most_seconds, clock
        self._state = folder / f"{worker or os.getpid()}.loaded"
        # Held while this worker lives: the kernel releases it however the process ends.
        self._life = FileLock(self._state.with_suffix(".alive"), thread_local=False)
        self._change = FileLock(folder / "change")
        self._loaded, self._since = "", 0.0

    def loaded(self, version: str) -> None:
        """State that this worker has loaded a version, and activate it if all others have too."""
        now = self.clock()
        if version != self._loaded:
            self._loaded, self._since = version, now
        with self._change:
            if not self._life.is_locked:
                self._life.acquire(timeout=0)
            self._state.write_text(version)
            if now - self._since >= self.most_seconds or self._all_have(version):
                draft = self.folder / f"{ACTIVE}.draft"
                draft.write_text(version)
                draft.replace(self.folder / ACTIVE)

    def withdraw(self) -> None:
        """State that this worker gives up what it has loaded; afterwards nothing is activated."""
        with self._change:
            self._state.write_text("")

    def is_active(self, version: str) -> bool:
        """Whether the workers answer from a version."""
        try:
            return (self.folder / ACTIVE).read_text() == version
        except FileNotFoundError:
            return False

    def _all_have(self, version: str) -> bool:
        others = [path for path in self.folder.glob("*.loaded") if path != self._state]
        return all(state.read_text() == version for state in others if _is_alive(state))


def _is_alive(state: Path) -> bool:
    """Whether the worker with a state runs."""
    life = FileLock(state.with_suffix(".alive"))
    try:
        life.acquire(timeout=0)
    except Timeout:
        return True
    life.release()
    return False
