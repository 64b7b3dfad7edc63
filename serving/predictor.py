"""Holds the readers of one published version and replaces all of them at once.

Published folders in; for each task its reader and the record of the model that published it out.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.errors import ForesellError, InvalidInput, NotFound, Unavailable
from features.faults import describe_fault
from serving.activation import Activation
from serving.readers import Loader
from serving.served import ServedVersion, Swap
from training.published import digests
from training.published import versions as published
from training.published.pending import pending

# A version that could not be loaded is tried again, because it may still be being copied. The
# pause is so many times the duration of the failed attempt, which bounds the share of time spent.
RETRY_PAUSE = 10
# Requests whose version was deleted wait so long until all workers have loaded the next one.
MOST_WAIT_SECONDS = 10.0
WAIT_SECONDS = 0.05

log = logging.getLogger(__name__)


class VersionHolder:
    """The version of a dataset that is served, and a thread that watches for the next one.

    Versions of other datasets in the same homes are loaded when a request names them first.

    Parameters
    ----------
    homes
        Folders to search for a published version; the first that has one is used.
    loaders
        For each task, the function that loads a reader from the model's published folder.
    poll_seconds
        Interval between two searches for a new version.
    dataset
        The dataset of requests that name none. If it is None, they get `preferred` if it is
        published, or else the only one that is.
    activation
        Returns what agrees with other workers on the version of a dataset; by default there are
        none.
    """

    def __init__(
        self,
        homes: Sequence[Path],
        loaders: Mapping[str, Loader],
        poll_seconds: float,
        dataset: str | None = None,
        preferred: str | None = None,
        activation: Callable[[str], Activation] | None = None,
    ) -> None:
        self.homes = homes
        self.loaders = loaders
        self.poll_seconds = poll_seconds
        self.dataset, self.preferred = dataset, preferred
        self.activation = activation
        self._others: dict[str, VersionHolder] = {}
        self._loading, self._refreshing = threading.Lock(), threading.Lock()
        self._swap = Swap(activation)
        self._refused: Path | None = None
        self._retry_at = 0.0
        self._fault: str | None = None
        self._stopped = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether a version is loaded, or requests must name one of several datasets."""
        return self.served is not None or (self.dataset is None and len(self._names()) > 1)

    @property
    def served(self) -> ServedVersion | None:
        """The version that requests without a dataset get; None if there is none."""
        return self._swap.served

    @property
    def name(self) -> str:
        """The dataset of requests that name none, whether it is published or not.

        Raises
        ------
        Unavailable
            If nothing is published, and no dataset was named at the start.
        InvalidInput
            If the request must name one of several datasets.
        """
        if self.served is None and not (self.dataset is None and self.ready):
            name = self.dataset or self.preferred
            if name is not None:
                return name
        return self.current().record.dataset

    def all_served(self) -> list[ServedVersion]:
        """Return the served versions of all datasets that are loaded."""
        holders = (self, *self._others.values())
        return [holder.served for holder in holders if holder.served is not None]

    @property
    def watching(self) -> bool:
        """Whether the watching thread runs, or was never started."""
        return self._watch is None or self._watch.is_alive()

    @property
    def fault(self) -> str | None:
        """Why the newest version is not served, in a sentence; None while it is."""
        return self._fault

    def loaded(self, dataset: str | None) -> "VersionHolder | None":
        """Return the holder of a dataset's version if it is loaded; None means the default."""
        if dataset is None or dataset == self.dataset:
            return self
        if self.served is not None and self.served.record.dataset == dataset:
            return self
        return self._others.get(dataset)

    def load(self, dataset: str) -> "VersionHolder":
        """Load the version of a dataset unless it is loaded, and return its holder.

        Raises
        ------
        NotFound
            If nothing of the dataset is published.
        """
        with self._loading:
            holder = self.loaded(dataset)
            if holder is not None:
                return holder
            if dataset not in self._names():
                raise NotFound(
                    f"dataset = {dataset!r} is not published; there is "
                    f"{', '.join(self._names()) or 'none yet'}.",
                    field="dataset",
                )
            holder = VersionHolder(
                self.homes, self.loaders, self.poll_seconds, dataset, activation=self.activation
            )
            holder.begin()
            self._others[dataset] = holder
            return holder

    def reader_of(self, task: str) -> tuple[published.PublishedModel, Any]:
        """Return the record of a task's model and its reader, both of the same version.

        Raises
        ------
        Unavailable
            If no version is published, or it has no model for the task.
        """
        return self.current().reader_of(task)

    def current(self) -> ServedVersion:
        """Return the version that is served, for requests that need several of its models.

        Raises
        ------
        Unavailable
            If no version is published.
        InvalidInput
            If the request must name one of several datasets.
        """
        served = self.served
        if served is None:
            if self.ready:
                raise InvalidInput(
                    f"dataset is required: the service answers for {', '.join(self._names())}.",
                    field="dataset",
                )
            tasks = [task for home in self.homes for task in pending(home, self.dataset)]
            if tasks:
                raise Unavailable(
                    f"Nothing is published yet: models are being trained ({', '.join(tasks)}, in "
                    "this order); ask again in a minute."
                )
            if self._fault is not None:
                raise Unavailable(f"No version can be served: {self._fault}")
            raise Unavailable("Nothing is published yet; run `foresell train all`.")
        return served

    def newer_than(self, version: ServedVersion) -> ServedVersion | None:
        """Return the version that replaced `version`, loading it if needed; None if none did.

        Forgetting a customer deletes the version that was served, including files that its
        readers open only on request. Such requests are answered from the version after it.
        """
        end = time.monotonic() + MOST_WAIT_SECONDS
        self.refresh()
        while (current := self.current()) is version:
            if self._swap.coming is None or time.monotonic() > end:
                return None
            time.sleep(WAIT_SECONDS)
            self.refresh()
        return current

    def begin(self) -> None:
        """Load the current version, and wait until other workers have loaded it too."""
        self.refresh()
        while self.served is None and self._swap.coming is not None:
            time.sleep(WAIT_SECONDS)
            self.refresh()

    def refresh(self) -> bool:
        """Load the current version if it differs from the one that is served.

        The files of a version are verified before it is served. A version that cannot be loaded is
        refused, and the former one stays in service. A served version whose files changed in place
        is verified again, and no longer served if they are damaged. Where there are other workers,
        the version is served once all of them have loaded it.

        Returns
        -------
        bool
            Whether the served version changed.
        """
        with self._refreshing:
            former = self.served
            self._refresh()
            return self.served is not former

    def _refresh(self) -> None:
        folder: Path | None = None
        begun = time.monotonic()
        try:
            folder = self._published_folder()
            if folder is None:
                return
            served, coming = self._swap.served, self._swap.coming
            if coming is not None and folder == coming.folder:
                self._swap.offer(coming)
            elif served is not None and folder == served.folder:
                if coming is not None:
                    self._swap.offer(served)
                self._verify_again(served)
            elif folder != self._refused or begun >= self._retry_at:
                self._swap.offer(self._load(folder))
                self._refused, self._fault = None, None
        except Exception as error:
            # No fault of a new version or of the manifest ends the watch or the served version.
            self._refuse(folder, error, begun)

    def _refuse(self, folder: Path | None, error: Exception, begun: float) -> None:
        """Log a fault once, and put off the next attempt."""
        fault = error.message if isinstance(error, ForesellError) else type(error).__name__
        name = "" if folder is None else f" {folder.name}"
        if self._refused != folder or self._fault != fault:
            stays = "nothing" if self.served is None else "the former version"
            cause = describe_fault(error)
            log.error("refused published version%s; %s stays in service: %s", name, stays, cause)
        self._refused, self._fault = folder, fault
        self._retry_at = begun + RETRY_PAUSE * (time.monotonic() - begun)

    def _verify_again(self, served: ServedVersion) -> None:
        """Stop serving a version whose files were damaged in place, before answers come from them.

        Raises
        ------
        InvalidInput
            If a file was damaged.
        """
        stamps = digests.stamps(served.folder, served.record.files)
        changed = [name for name, stamp in stamps.items() if served.stamps.get(name) != stamp]
        if not changed:
            self._fault = None
            return
        try:
            digests.verify(served.folder, {name: served.record.files[name] for name in changed})
        except InvalidInput:
            self._swap.replace(served, None)
            raise
        self._swap.replace(served, replace(served, stamps=stamps))

    def start(self) -> None:
        """Load the published version and start the watching thread."""
        self.begin()
        self._watch = threading.Thread(target=self._poll, name="published", daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Stop the watching thread."""
        self._stopped.set()
        if self._watch is not None:
            self._watch.join()

    def _published_folder(self) -> Path | None:
        dataset = self._default()
        if dataset is None:
            return None
        folders = (published.current(home, dataset) for home in self.homes)
        return next((folder for folder in folders if folder is not None), None)

    def _names(self) -> list[str]:
        """Return the published datasets of the first home that has any."""
        return next((names for home in self.homes if (names := published.datasets(home))), [])

    def _default(self) -> str | None:
        """Return the dataset of requests that name none; None if there is none, or several."""
        if self.dataset is not None:
            return self.dataset
        if self.served is not None:
            # A dataset that is published later does not take over.
            return self.served.record.dataset
        names = self._names()
        if self.preferred in names:
            return self.preferred
        return names[0] if len(names) == 1 else None

    def _load(self, folder: Path) -> ServedVersion:
        record = published.read(folder)
        # Before the content is verified, so that a later change is noticed.
        stamps = digests.stamps(folder, record.files)
        digests.verify(folder, record.files)
        readers = {name: self.loaders[name](folder / name) for name in record.folders}
        return ServedVersion(folder, record, readers, stamps)

    def _poll(self) -> None:
        while not self._stopped.wait(self.poll_seconds):
            for holder in (self, *self._others.values()):
                holder.refresh()
