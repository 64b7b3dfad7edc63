"""Append events to a log from many concurrent requests, in few transactions.

Each transaction waits for the disk. While one runs, further requests gather for the next one.
"""

import asyncio
import logging
from collections.abc import Sequence

from anyio import to_thread

from features.errors import ForesellError, Unavailable
from features.events.log import EventLog
from features.events.schema import Event
from features.faults import describe_fault
from serving.events.recommendation_ids import RecommendationIds

log = logging.getLogger(__name__)

# Of one transaction, so that a reader of the log does not wait long for its first event.
MOST_EVENTS = 5_000


class EventWriter:
    """Appends events of concurrent requests to one log; for one event loop.

    Parameters
    ----------
    event_log
        The event log.
    ids
        Reads the ids of lists.
    """

    def __init__(self, event_log: EventLog, ids: RecommendationIds) -> None:
        self._log, self._ids = event_log, ids
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[list[bool]]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Store events durably; returns whether each is new.

        Raises
        ------
        Unavailable
            If the database does not take them.
        """
        stored: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, stored))
        if self._writing is None or self._writing.done():
            # A task of its own: the others are written even if this request is cancelled.
            self._writing = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            group = self._next_group()
            events = [event for posted, _ in group for event in posted]
            try:
                is_new = await to_thread.run_sync(self._log.append, events, self._attribute)
            except Exception as error:
                log.error("events were not stored: %s", describe_fault(error))
                for _, stored in group:
                    if not stored.done():
                        stored.set_exception(_failed(error))
                continue
            start = 0
            for posted, stored in group:
                if not stored.done():
                    stored.set_result(is_new[start : start + len(posted)])
                start += len(posted)

    def _attribute(self, event: Event) -> list[tuple[str, str, str]]:
        """Return version, list and reason of the products of a list that an event is about."""
        if event.recommendation_id is None:
            return []
        shown = self._ids.read(event.recommendation_id)
        if shown is None:
            return []
        version = f"recommender/{shown.version}"
        return [(version, shown.list_name, reason) for reason in shown.reasons(event.product_id)]

    def _next_group(self) -> list[tuple[Sequence[Event], asyncio.Future[list[bool]]]]:
        """Take the requests of the next transaction, at least one."""
        count = size = 0
        while count < len(self._waiting) and (not count or size < MOST_EVENTS):
            size += len(self._waiting[count][0])
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group


def _failed(error: Exception) -> ForesellError:
    if isinstance(error, ForesellError):
        return error
    return Unavailable(
        f"The event log does not take events ({type(error).__name__}); send them again, with the "
        "same event_id."
    )
