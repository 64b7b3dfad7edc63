"""Compute long answers in a thread, as long as the client waits."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from serving.stopping import STOP

Result = TypeVar("Result")

# How the current request learns that its client has gone.
RECEIVE: ContextVar[Receive | None] = ContextVar("receive", default=None)


async def in_thread(compute: Callable[[], Result]) -> Result:
    """Compute in a thread; `serving.stopping` ends it if the client goes or the time is up.

    Raises
    ------
    ClientDisconnect
        If the client has gone.
    """
    stop = threading.Event()
    token = STOP.set(stop)
    # Tasks copy the context when they are made.
    work = asyncio.ensure_future(to_thread.run_sync(compute))
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


async def _disconnected() -> None:
    """Return when the client has gone; never outside of a request."""
    receive = RECEIVE.get()
    if receive is None:
        await asyncio.Event().wait()
        return
    while (await receive())["type"] != "http.disconnect":
        continue
