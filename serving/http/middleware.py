"""What wraps every request: an id, a limit on its size, and an answer whatever happens.

Plain ASGI around the whole application, because BentoML neither limits bodies nor answers
when an exception passes it: the client would wait for the timeout.
"""

import logging
import re
from uuid import uuid4

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.faults import describe_fault

REQUEST_ID = "x-request-id"
MAX_BODY_BYTES = 1_000_000
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

log = logging.getLogger(__name__)


class BodyTooLarge(HTTPException):
    """More arrived than is accepted.

    An HTTP exception, because FastAPI turns any other that is raised while it reads a
    body into "error parsing the body".
    """

    def __init__(self, limit: int) -> None:
        # What is left of the body is not read, so the connection cannot be used again.
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
    """Build the one shape that errors have."""
    body = {"code": code, "message": message, "field": field, "request_id": request_id}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


class Guard:
    """Give a request its id, refuse a body that is too large, and never leave it unanswered.

    The id is the header `X-Request-ID`, if it is one short word, or a new one; it is found
    in `scope["state"]["request_id"]` and goes back in the same header.
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
            if _announced(scope) > self.max_body_bytes:
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
                    "Something went wrong here; the log has it under this request_id.",
                    request_id=request_id,
                )
                await response(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == REQUEST_ID.encode() and _SANE.fullmatch(value):
            return str(value, "ascii")
    return uuid4().hex


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
