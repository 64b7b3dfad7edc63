"""Follow the event logs of all served datasets in a thread."""

import logging
import threading
from collections.abc import Callable
from functools import cached_property

from features.errors import ForesellError
from features.events.log import EventLog
from features.faults import describe_fault
from serving.events.live import LiveEvents
from serving.events.recommendation_ids import RecommendationIds
from serving.events.writer import EventWriter
from serving.predictor import VersionHolder
from serving.served import ServedVersion

POLL_SECONDS = 0.1
MOST_EVENTS = 100_000

log = logging.getLogger(__name__)


class EventViews:
    """The newest events of every served dataset, by name, and the thread that keeps them current.

    Parameters
    ----------
    versions
        The served versions.
    open_log
        Returns the event log of a dataset.
    poll_seconds
        Interval between two looks at the logs.
    most_events
        Events in memory, of each dataset.
    """

    def __init__(
        self,
        versions: VersionHolder,
        open_log: Callable[[str], EventLog],
        poll_seconds: float = POLL_SECONDS,
        most_events: int = MOST_EVENTS,
    ) -> None:
        self.versions = versions
        self.open_log = open_log
        self.poll_seconds, self.most_events = poll_seconds, most_events
        self.fault: str | None = None
        self._views: dict[str, LiveEvents] = {}
        self._writers: dict[str, EventWriter] = {}
        self._opening = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def following(self) -> bool:
        """Whether the thread runs, or was never started."""
        return self._thread is None or self._thread.is_alive()

    @property
    def position(self) -> int:
        """Position up to which the events of the served dataset are known."""
        served = self.versions.served
        return 0 if served is None else self.view(served.record.dataset).head.position

    def view(self, dataset: str) -> LiveEvents:
        """Return the events of a dataset; empty until the log is read for the first time."""
        view = self._views.get(dataset)
        if view is None:
            with self._opening:
                view = self._views.get(dataset)
                if view is None:
                    view = LiveEvents(self.open_log(dataset), self.most_events)
                    self._views[dataset] = view
        return view

    @cached_property
    def ids(self) -> RecommendationIds:
        """Writes and reads the ids of lists."""
        return RecommendationIds.load(self.versions.homes[0])

    def writer(self, dataset: str) -> EventWriter:
        """Return what appends to the log of a dataset, for the one event loop."""
        writer = self._writers.get(dataset)
        if writer is None:
            writer = self._writers[dataset] = EventWriter(self.view(dataset).log, self.ids)
        return writer

    def refresh(self) -> None:
        """Take up new events of all served datasets; a database that fails is tried again."""
        fault = None
        for version in self.versions.all_served():
            try:
                self.view(version.record.dataset).refresh(version.record, _may_name(version))
            except Exception as error:
                # No fault of a database ends the thread; answers go on without newer events.
                fault = error.message if isinstance(error, ForesellError) else type(error).__name__
                if self.fault != fault:
                    log.error("the event log cannot be read: %s", describe_fault(error))
        self.fault = fault

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._poll, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and close the logs."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        for view in self._views.values():
            view.log.close()

    def _poll(self) -> None:
        self.refresh()
        while not self._stopped.wait(self.poll_seconds):
            self.refresh()


def _may_name(version: ServedVersion) -> Callable[[str], bool]:
    """Return whether answers may name a customer.

    Where consent is recorded, these are the customers whom the version knows, which has no others.
    """
    if not version.record.consent:
        return lambda _: True
    known = [getattr(reader, "known_ids", ()) for reader in version.readers.values()]
    return lambda customer_id: any(customer_id in ids for ids in known)
