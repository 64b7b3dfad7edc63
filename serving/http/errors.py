"""Turn exceptions into responses of one shape: `code`, `message`, `field`, `request_id`."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import ForesellError, InvalidInput, MissingData, NotFound, Unavailable
from serving.http.middleware import error_response
from serving.http.schemas import Error

STATUS: dict[type[ForesellError], tuple[int, str]] = {
    InvalidInput: (422, "invalid_input"),
    MissingData: (422, "missing_data"),
    NotFound: (404, "not_found"),
    Unavailable: (503, "unavailable"),
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": Error, "description": "a valid API key is required"},
    403: {"model": Error, "description": "the API key lacks the scope of the request"},
    404: {"model": Error, "description": "an id in the request is unknown"},
    408: {"model": Error, "description": "the request took too long to arrive"},
    413: {"model": Error, "description": "the body is too large"},
    422: {"model": Error, "description": "the request is invalid, or lacks data that it needs"},
    429: {"model": Error, "description": "the client has used up its units: see `Retry-After`"},
    500: {"model": Error, "description": "internal error"},
    503: {"model": Error, "description": "not published yet, or overloaded: see `Retry-After`"},
    504: {"model": Error, "description": "the answer took too long: ask in parts"},
}


def handle_errors(app: FastAPI) -> None:
    """Register handlers for all exceptions of the application."""
    app.add_exception_handler(ForesellError, _foresell_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
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
    message = {
        # The only remaining cause: invalid JSON is reported as a validation error.
        400: "The body cannot be read as text; send JSON in UTF-8.",
        404: f"There is no {path}; see /docs.",
        405: f"{request.method} is not allowed on {path}, which takes {headers.get('Allow')}; "
        "see /docs.",
    }.get(error.status_code, str(error.detail))
    return error_response(
        error.status_code,
        CODES.get(error.status_code, "error"),
        message,
        request_id=request.state.request_id,
        headers=headers,
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
    field, message = _describe(error.errors()[0])
    return error_response(
        422, "invalid_input", message, field=field, request_id=request.state.request_id
    )


def _describe(error: Any) -> tuple[str | None, str]:
    """Return the field and a sentence with the field, its value and the cause."""
    if error["type"] == "json_invalid":
        where = error["ctx"]["error"]
        return None, f"The body is not JSON: {where} at character {error['loc'][1]}."
    field = _path(error["loc"][1:])
    value = error["input"]
    if not field:
        hint = "send one, with the header Content-Type: application/json."
        return None, f"The body must be a JSON object; {hint}"
    if error["type"] == "missing":
        return field, f"{field} is required."
    if error["type"] == "extra_forbidden":
        return field, f"{field} = {_format(value)} is not a field of this request; see /docs."
    reason = error["msg"][0].lower() + error["msg"][1:]
    return field, f"{field} = {_format(value)}: {reason}."


def _path(parts: Sequence[str | int]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part == "[key]":
            # The part before is the invalid key, which ends the path.
            break
        else:
            path += f".{part[:60]}" if path else part[:60]
    return path


def _format(value: Any) -> str:
    """Return a value as JSON, but only the size of a collection, which may hold customer ids."""
    if isinstance(value, list | dict):
        return f"<{len(value)} entries>"
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 60 else text[:57] + "..."
