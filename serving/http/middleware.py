"""Middleware of every request: ids, checks, limits, metrics, and a response after any exception.

Plain ASGI around the whole application, because BentoML neither limits bodies nor responds to an
unhandled exception: the client would wait for the timeout. BentoML's own timeout is off: its timers
outlive their requests, and collecting them stalls a worker with thousands of requests per second.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.faults import describe_fault
from serving.http.access import (
    PROBES,
    Check,
    LoadLimit,
    Refused,
    declared_length,
    header,
    required_scope,
)
from serving.http.metrics import UNKNOWN_ROUTE, metrics
from serving.http.spans import SpanExporter
from serving.http.threads import MAX_WAIT
from serving.logs import RequestIds, current, trace_of

REQUEST_ID = "x-request-id"
# Status in metrics and logs of a request whose client has gone; it is never sent.
CLIENT_CLOSED = 499
MAX_BODY_BYTES = 1_000_000
_VALID_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# Answers are about people, and change with each version; documents set their own.
NO_STORE = (b"cache-control", b"no-store")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """Limits of every request.

    Attributes
    ----------
    max_body_bytes
        Larger bodies are refused with 413.
    body_seconds
        A body that takes longer to arrive is refused with 408.
    request_seconds, admin_seconds
        Answers, and administrative jobs, that take longer end with 504.
    checks
        Called with the scope of each request; they raise `Refused`.
    load
        Limits the requests in progress.
    access_log
        Whether each request is logged.
    spans
        Sends the spans of requests to a collector.
    """

    max_body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 10.0
    request_seconds: float = 30.0
    admin_seconds: float = 600.0
    checks: Sequence[Check] = ()
    load: LoadLimit | None = None
    access_log: bool = False
    spans: SpanExporter | None = None


class BodyRefused(HTTPException):
    """The body exceeds a limit.

    An HTTP exception, because FastAPI reports any other that is raised while it reads a body as
    "error parsing the body".
    """

    def __init__(self, limit: int) -> None:
        # The rest of the body is not read, so the connection cannot be reused.
        super().__init__(
            413,
            f"The body is larger than {limit:,} bytes; ask in parts.",
            {"connection": "close"},
        )


def encode_error(code: str, message: str, *, request_id: str, field: str | None = None) -> bytes:
    """Count an error and return the body of its response."""
    metrics().error(code)
    body = {
        "code": code,
        "message": _encodable(message),
        "field": None if field is None else _encodable(field),
        "request_id": request_id,
    }
    return orjson.dumps(body)


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    request_id: str,
    field: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Build an error response."""
    body = encode_error(code, message, request_id=request_id, field=field)
    return Response(body, status, headers, media_type="application/json")


class Guard:
    """Assign a request id, apply the policy, and respond to unhandled exceptions.

    The id is the header `X-Request-ID` if it is a short word, else a new one. It is stored in
    `scope["state"]["request_id"]` and returned in the same header.

    Parameters
    ----------
    app
        The application.
    policy
        The limits.
    """

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app = app
        self.policy = policy
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        ids = _ids(scope)
        current.set(ids)
        MAX_WAIT.set(None if self.policy.load is None else self.policy.load.seconds)
        scope.setdefault("state", {})["request_id"] = ids.request_id
        exchange = _Exchange(self.policy, receive, send, ids.request_id)
        self._count(1)
        try:
            response = await self._respond(scope, exchange)
            if response is not None and not exchange.status:
                await response(scope, exchange.receive, exchange.send)
        finally:
            self._count(-1)
            self._report(scope, exchange.status, time.perf_counter() - begun)

    async def _respond(self, scope: Scope, exchange: "_Exchange") -> Response | None:
        """Let the application respond; returns an error response in its place."""
        request_id = exchange.request_id
        timer: asyncio.Timeout | None = None
        try:
            for check in self.policy.checks:
                check(scope)
            if scope["path"] in PROBES:
                await self.app(scope, exchange.receive, exchange.send)
                return None
            if declared_length(scope) > self.policy.max_body_bytes:
                raise BodyRefused(self.policy.max_body_bytes)
            async with asyncio.timeout(self.policy.body_seconds) as timer:
                exchange.start(timer, scope)
                await self.app(scope, exchange.receive, exchange.send)
        except Refused as error:
            return error_response(
                error.status,
                error.code,
                error.message,
                request_id=request_id,
                headers=error.headers,
            )
        except BodyRefused as error:
            return error_response(
                413,
                "too_large",
                error.detail,
                request_id=request_id,
                headers=dict(error.headers or {}),
            )
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED
        except Exception as error:
            if isinstance(error, TimeoutError) and timer is not None and timer.expired():
                return exchange.timeout_response()
            log.error("request %s failed with %s", request_id, describe_fault(error))
            return error_response(
                500,
                "internal",
                "An internal error occurred; see the log for this request_id.",
                request_id=request_id,
            )
        return None

    def _count(self, change: int) -> None:
        self.running += change
        if self.policy.load is not None:
            # Without this request, which is being checked.
            self.policy.load.running = self.running - 1

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        # The template of the route: the number of unknown paths has no bound.
        route = path if path in PROBES else getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        metrics().request(route, status, seconds)
        ids = current.get()
        if self.policy.spans is not None and ids is not None and path not in PROBES:
            # `traceparent` is valid where the ids have a trace: version, trace, span, flags.
            given = header(scope, b"traceparent") if ids.trace_id else None
            parent = given.split("-")[2] if given else None
            self.policy.spans.add(ids, parent, f"{scope['method']} {route}", status, seconds)
        if self.policy.access_log:
            fields = {
                "method": scope["method"],
                "path": path[:200],
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
            }
            text = " ".join(map(str, fields.values()))
            log.info("%s ms", text, extra={"fields": fields})


class _Exchange:
    """One request and its response: the body within its limits, the response with its headers."""

    def __init__(self, policy: Policy, receive: Receive, send: Send, request_id: str) -> None:
        self.policy, self.request_id = policy, request_id
        self.status = 0
        self._receive, self._send = receive, send
        self._received = 0
        self._timer: asyncio.Timeout | None = None
        self._seconds = 0.0

    def start(self, timer: asyncio.Timeout, scope: Scope) -> None:
        """Limit the time of the body, if there is one, and then that of the answer."""
        self._timer = timer
        is_admin = required_scope(scope) == "admin"
        self._seconds = self.policy.admin_seconds if is_admin else self.policy.request_seconds
        if not declared_length(scope) and header(scope, b"transfer-encoding") is None:
            self._body_is_complete()

    async def receive(self) -> Message:
        """Receive a part of the body."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self.policy.max_body_bytes:
            raise BodyRefused(self.policy.max_body_bytes)
        if self._timer is not None and not message.get("more_body", False):
            self._body_is_complete()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers of every response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[Any] = [*message.get("headers", ()), *SECURITY_HEADERS]
            if not any(name == NO_STORE[0] for name, _ in headers):
                headers.append(NO_STORE)
            headers.append((REQUEST_ID.encode(), self.request_id.encode()))
            message["headers"] = headers
        await self._send(message)

    def timeout_response(self) -> Response:
        """Return the response after the time is up."""
        if self._timer is None:
            status, message = 504, f"The answer took longer than {self._seconds:g} s; ask in parts."
        else:
            status = 408
            message = f"The body took longer than {self.policy.body_seconds:g} s to arrive."
        close = {"connection": "close"} if status == 408 else None
        return error_response(status, "timeout", message, request_id=self.request_id, headers=close)

    def _body_is_complete(self) -> None:
        assert self._timer is not None, "called once, after the start"  # noqa: S101
        self._timer.reschedule(asyncio.get_running_loop().time() + self._seconds)
        self._timer = None


def _encodable(text: str) -> str:
    """Replace what UTF-8 cannot encode: lone surrogates."""
    return text.encode(errors="replace").decode()


def _ids(scope: Scope) -> RequestIds:
    given = header(scope, REQUEST_ID.encode())
    request_id = given if given and _VALID_ID.fullmatch(given) else uuid4().hex
    trace = trace_of(header(scope, b"traceparent"))
    return RequestIds(request_id, *(trace or ()))
