"""The version that answers, and its replacement by the next one in all workers at once."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import Unavailable
from serving.activation import Activation
from training.published import digests
from training.published import versions as published
from training.published.pending import pending

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedVersion:
    """One published version in memory.

    Attributes
    ----------
    folder
        The folder that it was loaded from.
    record
        The models that it consists of.
    readers
        The reader of each model, by task name.
    stamps
        Sizes and times of its files when their content was verified.
    """

    folder: Path
    record: published.PublishedVersion
    readers: Mapping[str, Any]
    stamps: digests.Stamps

    def reader_of(self, task: str) -> tuple[published.PublishedModel, Any]:
        """Return the record of a task's model and its reader.

        Raises
        ------
        Unavailable
            If the version has no model for the task, yet or at all.
        """
        if task not in self.readers:
            if task in pending(published.home_of(self.folder), self.record.dataset):
                raise Unavailable(f"The {task} model is being trained; ask again in a minute.")
            raise Unavailable(
                f"Version {self.record.version} has no {task} model; it has "
                f"{', '.join(self.readers)}. Run `foresell train {task}` on a dataset that "
                "has what it needs."
            )
        return self.record.models[task], self.readers[task]


class Swap:
    """Two places of a dataset's versions: the one that answers, and the one that will.

    Parameters
    ----------
    activation
        Returns what agrees with other workers on the version of a dataset; None if there are none.
    """

    def __init__(self, activation: Callable[[str], Activation] | None) -> None:
        self._open_activation = activation
        self._activation: Activation | None = None
        self._lock = threading.Lock()
        self._served: ServedVersion | None = None
        self._coming: ServedVersion | None = None

    @property
    def served(self) -> ServedVersion | None:
        """The version that answers; None if there is none."""
        if self._coming is not None:
            self._switch()
        return self._served

    @property
    def coming(self) -> ServedVersion | None:
        """The version that this worker, but not yet all of them, has loaded."""
        return self._coming

    def offer(self, version: ServedVersion) -> None:
        """Serve a loaded version as soon as all workers have loaded it."""
        if self._activation is None and self._open_activation is not None:
            self._activation = self._open_activation(version.record.dataset)
        if self._activation is not None and version is not self._coming:
            # From here on the others do not activate the one before, but may have done so.
            self._activation.withdraw()
            self._switch()
        with self._lock:
            self._coming = version
        if self._activation is not None:
            self._activation.loaded(version.record.version)
        self._switch()

    def replace(self, former: ServedVersion, version: ServedVersion | None) -> None:
        """Replace a version in this worker alone, unless another one was activated meanwhile."""
        with self._lock:
            if self._served is former:
                self._served = version

    def _switch(self) -> None:
        with self._lock:
            version, activation = self._coming, self._activation
            if version is None or not (
                activation is None or activation.is_active(version.record.version)
            ):
                return
            is_new = version is not self._served
            self._served, self._coming = version, None
        if is_new:
            log.info("serving version %s", version.record.version)
