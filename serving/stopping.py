"""Stop computing an answer that nobody waits for any more.

The thread that computes asks between two entries of a request; see `http.threads`.
"""

import threading
from contextvars import ContextVar

STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """The client has gone, or the time of the answer is up."""


def check_stopped() -> None:
    """Raise `Stopped` if nobody waits for the answer; never outside of a request."""
    stop = STOP.get()
    if stop is not None and stop.is_set():
        raise Stopped
