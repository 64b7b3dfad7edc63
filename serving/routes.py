"""The read routes: a JSON request in, the held version's answer or the one error shape out."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from features.calendar import parse_as_of
from features.errors import ForesellError, InvalidInput, MissingData, NotFound, Unavailable
from serving.middleware import MAX_BODY_BYTES, Guard, error_response
from serving.predictor import Predictor
from serving.schemas import (
    Answer,
    Churn,
    ChurnRequest,
    Error,
    Forecast,
    ForecastRequest,
    NextPurchase,
    NextPurchaseRequest,
    Recommendation,
    RecommendRequest,
)
from serving.schemas import (
    Request as AnyRequest,
)

# Up to this many entities are answered at once; more go to a thread, so that a long
# question does not hold up the short ones (a thread costs more than a short answer).
INLINE = 50

STATUS: dict[type[ForesellError], tuple[int, str]] = {
    InvalidInput: (422, "invalid_input"),
    MissingData: (422, "missing_data"),
    NotFound: (404, "not_found"),
    Unavailable: (503, "unavailable"),
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": Error, "description": "something named in the request is not known"},
    413: {"model": Error, "description": "the body is too large"},
    422: {"model": Error, "description": "the request cannot be used as it is"},
    500: {"model": Error, "description": "a fault of the service"},
    503: {"model": Error, "description": "nothing is published to answer from"},
}


def build_app(predictor: Predictor, max_body_bytes: int = MAX_BODY_BYTES) -> ASGIApp:
    """Build the application that answers from what the predictor holds."""
    app = FastAPI(
        title="Foresell",
        summary="What will sell, who is leaving, when they buy again, what they will want",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        # Its records of failed validations quote what was sent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    async def answer(
        task: str, ask: AnyRequest, of: Callable[[Any], list[dict[str, Any]]], size: int
    ) -> Response:
        model, answers = predictor.ask(task)
        _check_as_of(ask, model.as_of)
        if size <= INLINE:
            results = of(answers)
        else:
            results = await to_thread.run_sync(of, answers)
        body = {"model_version": model.version, "as_of": model.as_of, "results": results}
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json")

    @app.post("/v1/recommend", response_model=Answer[Recommendation], responses=ERRORS)
    async def recommend(ask: Annotated[RecommendRequest, Body()]) -> Response:
        """Choose products for each customer, best first, repeat purchases among them."""
        return await answer(
            "recommender",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.k, ask.exclude_product_ids),
            len(ask.customer_ids),
        )

    @app.post("/v1/forecast", response_model=Answer[Forecast], responses=ERRORS)
    async def forecast(ask: Annotated[ForecastRequest, Body()]) -> Response:
        """Say how much of each series will sell, period by period, with quantiles."""
        return await answer(
            "demand",
            ask,
            lambda answers: answers.answer(ask.series, ask.horizon, ask.quantiles),
            len(ask.series),
        )

    @app.post("/v1/churn", response_model=Answer[Churn], responses=ERRORS)
    async def churn(ask: Annotated[ChurnRequest, Body()]) -> Response:
        """Say how likely each customer is not to buy within the horizon, and why."""
        return await answer(
            "churn",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.horizon_days),
            len(ask.customer_ids),
        )

    @app.post("/v1/next_purchase", response_model=Answer[NextPurchase], responses=ERRORS)
    async def next_purchase(ask: Annotated[NextPurchaseRequest, Body()]) -> Response:
        """Say when each customer buys again, as a distribution over days."""
        return await answer(
            "next-purchase",
            ask,
            lambda answers: answers.answer(ask.customer_ids, ask.within_days, ask.category),
            len(ask.customer_ids),
        )

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        """Lead a browser to the description of the endpoints."""
        return RedirectResponse("/docs")

    app.add_exception_handler(ForesellError, _foresell_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    # Inside Starlette's own catch-all, so that every answer has the one shape.
    app.add_middleware(Guard, max_body_bytes=max_body_bytes)

    # A plain function: BentoML passes the paths that it does not know itself to an
    # application that it cannot look into, and unknown routes answer in our shape too.
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return mounted


def _check_as_of(ask: AnyRequest, as_of: datetime) -> None:
    if ask.as_of is not None and parse_as_of(ask.as_of) != as_of:
        raise InvalidInput(
            f"as_of = {ask.as_of!r} is not what is published: answers are as of "
            f"{as_of.isoformat()}. Leave it out, or publish another.",
            field="as_of",
        )


async def _foresell_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForesellError)  # noqa: S101 - registered for it alone
    status, code = next(
        (found for kind, found in STATUS.items() if isinstance(error, kind)), (422, "invalid_input")
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
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    path = request.url.path[:100]
    message = {
        404: f"There is no {path}; see /docs.",
        405: f"{request.method} is not allowed on {path}; see /docs.",
    }.get(error.status_code, str(error.detail))
    return error_response(
        error.status_code,
        CODES.get(error.status_code, "error"),
        message,
        request_id=request.state.request_id,
        headers=dict(error.headers or {}),
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    field, message = _explain(error.errors()[0])
    return error_response(
        422, "invalid_input", message, field=field, request_id=request.state.request_id
    )


def _explain(error: Any) -> tuple[str | None, str]:
    """Name the field, its value and what is allowed, in one sentence."""
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
        return field, f"{field} = {_shown(value)} is not a field of this request; see /docs."
    reason = error["msg"][0].lower() + error["msg"][1:]
    return field, f"{field} = {_shown(value)}: {reason}."


def _path(parts: Sequence[str | int]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part[:60]}" if path else part[:60]
    return path


def _shown(value: Any) -> str:
    """Show a value, but never a list of ids: what was sent may name people."""
    if isinstance(value, list | dict):
        return f"<{len(value)} entries>"
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 60 else text[:57] + "..."
