"""Compute long answers in a few threads, as long as the client waits.

Computations hold the interpreter's lock most of the time. Many at once would delay one another and
the event loop, which then could not even refuse requests. A request waits for its turn, and is
refused if that takes too long.
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar
from weakref import WeakKeyDictionary

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from features.errors import Unavailable
from serving.stopping import STOP

Result = TypeVar("Result")

# Computations at the same time. With more, accepted requests take longer under overload
# (`benchmarks/overload.py`).
MOST_THREADS = 2
# How the current request learns that its client has gone.
RECEIVE: ContextVar[Receive | None] = ContextVar("receive", default=None)
# Seconds that the current request may wait for its turn; None has no limit.
MAX_WAIT: ContextVar[float | None] = ContextVar("max_wait", default=None)
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Overloaded(Unavailable):
    """A request waited too long for its turn."""


async def in_thread(compute: Callable[[], Result]) -> Result:
    """Compute in a thread; `serving.stopping` ends it if the client goes or the time is up.

    Raises
    ------
    ClientDisconnect
        If the client has gone.
    Overloaded
        If no thread is free in time.
    """
    turn = await _turn()
    stop = threading.Event()
    token = STOP.set(stop)
    # Tasks copy the context when they are made.
    work = asyncio.ensure_future(to_thread.run_sync(compute))
    # A thread whose client has gone still computes until it looks at `stop`.
    work.add_done_callback(lambda _: turn.release())
    gone = asyncio.ensure_future(_disconnected())
    STOP.reset(token)
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        stop.set()
        gone.cancel()
        work.cancel()


async def _turn() -> asyncio.Semaphore:
    """Wait for a thread; returns what is released after it."""
    turns = _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_THREADS))
    try:
        await asyncio.wait_for(turns.acquire(), MAX_WAIT.get())
    except TimeoutError:
        raise Overloaded("The service is overloaded; ask again.") from None
    return turns


async def _disconnected() -> None:
    """Return when the client has gone; never outside of a request."""
    receive = RECEIVE.get()
    if receive is None:
        await asyncio.Event().wait()
        return
    while (await receive())["type"] != "http.disconnect":
        continue
