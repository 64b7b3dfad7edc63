"""Uvicorn's HTTP protocol, leading straight to the application and with a limit on headers.

Uvicorn limits only the pause between requests: a client that sends its headers byte by byte holds a
connection for ever. BentoML's middleware costs more than a look-up, labels its metrics with the raw
path, and keeps a timer and its request for the whole timeout of each request: at thousands of
requests per second, collecting them stalls the worker. BentoML's worker builds Uvicorn's
configuration itself, so the protocol is put in the place of Uvicorn's default.
"""

import asyncio
import time
from typing import Any, ClassVar
from uuid import uuid4

import uvicorn.protocols.http.auto
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.access import ARRIVED
from serving.http.middleware import encode_error

SWEEP_SECONDS = 1.0


class TimedProtocol(HttpToolsProtocol):
    """Notes since when the headers of a request are awaited, and when they were complete."""

    applications: ClassVar[list[ASGIApp]] = []
    awaiting_since: float | None = None
    open: ClassVar["set[TimedProtocol]"] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await headers from now on."""
        super().connection_made(transport)
        if self.applications:
            self.app: Any = self.applications[0]
        self.awaiting_since = time.monotonic()
        self.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.open.discard(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Await the rest of the headers from now on."""
        self.awaiting_since = time.monotonic()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note when the request arrived."""
        self.awaiting_since = None
        self.scope[ARRIVED] = time.monotonic()  # type: ignore[literal-required]
        super().on_headers_complete()

    def give_up(self) -> None:
        """Answer 408 and close the connection."""
        if not self.transport.is_closing():
            body = encode_error("timeout", "The headers took too long.", request_id=uuid4().hex)
            head = (
                "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()


def install() -> None:
    """Make Uvicorn use the protocol; called before it builds its configuration."""
    automatic: Any = uvicorn.protocols.http.auto
    automatic.AutoHTTPProtocol = TimedProtocol


async def sweep(seconds: float) -> None:
    """Close for ever the connections whose headers take longer than some seconds."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        latest = time.monotonic() - seconds
        for connection in list(TimedProtocol.open):
            since = connection.awaiting_since
            if since is not None and since < latest:
                connection.give_up()
