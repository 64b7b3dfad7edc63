"""Holds the models of one published version and swaps them as a whole; asked by the routes."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import Unavailable
from serving.faults import described
from serving.readers import Reader
from training.published import versions as published

# A refused version is tried again, since it may be one that is still being copied here; at
# most one part in so many of the time goes into trying.
RETRY_SHARE = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One published version in memory.

    Attributes
    ----------
    folder
        Where it was read from.
    record
        What it is made of.
    answers
        What answers for each model, by the task's name.
    """

    folder: Path
    record: published.PublishedVersion
    answers: Mapping[str, Any]

    def ask(self, task: str) -> tuple[published.PublishedModel, Any]:
        """Return what answers for a task, with its record.

        Raises
        ------
        Unavailable
            If the version has nothing for the task.
        """
        if task not in self.answers:
            raise Unavailable(
                f"Version {self.record.version} has no {task} model; it has "
                f"{', '.join(self.answers)}. Run `foresell train {task}` on a dataset that "
                "has what it needs."
            )
        return self.record.models[task], self.answers[task]


class VersionHolder:
    """The version that answers now, and the watch for the next one.

    Parameters
    ----------
    homes
        Where to look for a published version; the first home that has one wins.
    readers
        What reads the published folder of each model, by the task's name.
    poll_seconds
        How often to look for a newly published version.
    """

    def __init__(
        self, homes: Sequence[Path], readers: Mapping[str, Reader], poll_seconds: float
    ) -> None:
        self.homes = homes
        self.readers = readers
        self.poll_seconds = poll_seconds
        self._served: Served | None = None
        self._refused: Path | None = None
        self._retry_at = 0.0
        self._stopped = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a version to answer from."""
        return self._served is not None

    def ask(self, task: str) -> tuple[published.PublishedModel, Any]:
        """Return what answers for a task, with its record; both of one version.

        Raises
        ------
        Unavailable
            If nothing is published, or nothing for this task.
        """
        return self.held().ask(task)

    def held(self) -> Served:
        """Return the version that answers now: for questions to several models of it.

        Raises
        ------
        Unavailable
            If nothing is published.
        """
        served = self._served
        if served is None:
            raise Unavailable("Nothing is published yet; run `foresell train all`.")
        return served

    def successor(self, served: Served) -> Served | None:
        """Return the version that took the place of another, loaded now if need be; else None.

        Whoever is forgotten takes the version that held them along, and with it files of it that
        are read only when they are asked for: its successor answers instead.
        """
        self.refresh()
        held = self.held()
        return None if held is served else held

    def refresh(self) -> bool:
        """Load the current version if it is another than the one held; say whether it changed.

        A version that cannot be read whole is refused, and the one held goes on answering.
        """
        folder = self._current()
        if folder is None or (self._served is not None and folder == self._served.folder):
            return False
        begun = time.monotonic()
        if folder == self._refused and begun < self._retry_at:
            return False
        try:
            served = self._load(folder)
        except Exception as error:
            # Whatever is wrong with a version, it must not stop the one that answers.
            if folder != self._refused:
                log.error(
                    "refused published version %s; what was served stays: %s",
                    folder.name,
                    described(error),
                )
            self._refused = folder
            self._retry_at = begun + RETRY_SHARE * (time.monotonic() - begun)
            return False
        self._served = served
        self._refused = None
        log.info("serving version %s", served.record.version)
        return True

    def start(self) -> None:
        """Load what is published and begin to watch for more."""
        self.refresh()
        self._watch = threading.Thread(target=self._poll, name="published", daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        if self._watch is not None:
            self._watch.join()

    def _current(self) -> Path | None:
        return next((folder for home in self.homes if (folder := published.current(home))), None)

    def _load(self, folder: Path) -> Served:
        record = published.read(folder)
        answers = {name: self.readers[name](folder / name) for name in record.folders}
        return Served(folder, record, answers)

    def _poll(self) -> None:
        while not self._stopped.wait(self.poll_seconds):
            try:
                self.refresh()
            except OSError:
                log.exception("could not look for a published version")
