"""Turn exceptions into responses of one shape: `code`, `message`, `field`, `request_id`."""

from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import ForesellError, InvalidInput, MissingData, NotFound, Unavailable
from serving.http.decode import MalformedBody
from serving.http.middleware import error_response
from serving.http.schemas import Code, Error
from serving.http.threads import Overloaded

STATUS: dict[type[ForesellError], tuple[int, Code]] = {
    MalformedBody: (400, "bad_request"),
    InvalidInput: (422, "invalid_input"),
    MissingData: (422, "missing_data"),
    NotFound: (404, "not_found"),
    Overloaded: (503, "overloaded"),
    Unavailable: (503, "unavailable"),
}
CODES: dict[int, Code] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}
DESCRIPTIONS = {
    400: "the body is no JSON that every reader takes alike, or the host is unknown",
    401: "a valid API key is required",
    403: "the API key lacks the scope of the request",
    404: "an id in the request is unknown",
    408: "the request took too long to arrive",
    413: "the body is too large",
    422: "the request is invalid, or lacks data that it needs",
    429: "the client has used up its units: see `Retry-After`",
    500: "internal error",
    503: "not published yet, or overloaded: see `Retry-After`",
    504: "the answer took too long: ask in parts",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description}
    for status, description in DESCRIPTIONS.items()
}

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "the client has this answer: `If-None-Match` names its `ETag`"}
}


def handle_errors(app: FastAPI) -> None:
    """Register handlers for all exceptions of the application."""
    app.add_exception_handler(ForesellError, _foresell_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _foresell_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForesellError)  # noqa: S101 - registered for this type only
    status, code = next(
        (answer for kind, answer in STATUS.items() if isinstance(error, kind)),
        (422, "invalid_input"),
    )
    return error_response(
        status,
        code,
        error.message,
        field=error.field,
        request_id=request.state.request_id,
        headers={"retry-after": "5"} if status == 503 else None,
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    path, headers = request.url.path[:100], dict(error.headers or {})
    if error.status_code == 405:
        # Each route of a path names its own method alone.
        methods = request.app.openapi()["paths"].get(request.url.path, {})
        headers |= {"Allow": ", ".join(method.upper() for method in methods)} if methods else {}
    message = {
        404: f"There is no {path}; see /docs.",
        405: f"{request.method} is not allowed on {path}, which takes {headers.get('Allow')}; "
        "see /docs.",
    }.get(error.status_code, str(error.detail))
    return error_response(
        error.status_code,
        CODES.get(error.status_code, "bad_request"),
        message,
        request_id=request.state.request_id,
        headers=headers,
    )
