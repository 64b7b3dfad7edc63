"""Middleware of every request: an id, a limit on the body, and a response after any exception.

Plain ASGI around the whole application, because BentoML neither limits bodies nor responds to an
unhandled exception: the client would wait for the timeout.
"""

import logging
import re
from uuid import uuid4

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.faults import describe_fault

REQUEST_ID = "x-request-id"
MAX_BODY_BYTES = 1_000_000
_VALID_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

log = logging.getLogger(__name__)


class BodyTooLarge(HTTPException):
    """The body exceeds the limit.

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
    body = {"code": code, "message": message, "field": field, "request_id": request_id}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


class Guard:
    """Assign a request id, limit the size of the body, and respond to unhandled exceptions.

    The id is the header `X-Request-ID` if it is a short word, else a new one. It is stored in
    `scope["state"]["request_id"]` and returned in the same header.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False
        received = 0

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message.setdefault("headers", []).append((REQUEST_ID.encode(), request_id.encode()))
            await send(message)

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise BodyTooLarge(self.max_body_bytes)
            return message

        try:
            if _declared_length(scope) > self.max_body_bytes:
                raise BodyTooLarge(self.max_body_bytes)
            await self.app(scope, receive_within_limit, send_with_id)
        except BodyTooLarge as error:
            response = error_response(
                413,
                "too_large",
                error.detail,
                request_id=request_id,
                headers=dict(error.headers or {}),
            )
            await response(scope, receive, send_with_id)
        except Exception as error:
            log.error("request %s failed with %s", request_id, describe_fault(error))
            if not started:
                response = error_response(
                    500,
                    "internal",
                    "An internal error occurred; see the log for this request_id.",
                    request_id=request_id,
                )
                await response(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == REQUEST_ID.encode() and _VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid4().hex


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
