"""The application: every task's routes, errors in one shape, bounds on what is asked."""

from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from serving.audience import routes as audience
from serving.customers import routes as customers
from serving.demand import routes as demand
from serving.http.errors import handle_errors
from serving.http.middleware import MAX_BODY_BYTES, Guard
from serving.http.respond import Responder
from serving.predictor import VersionHolder
from serving.recommender import routes as recommender


def build_app(predictor: VersionHolder, max_body_bytes: int = MAX_BODY_BYTES) -> ASGIApp:
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

    asking = Responder(predictor)
    for room in (recommender, demand, customers, audience):
        app.include_router(room.router(asking))

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        """Lead a browser to the description of the endpoints."""
        return RedirectResponse("/docs")

    handle_errors(app)
    # Inside Starlette's own catch-all, so that every answer has the one shape.
    app.add_middleware(Guard, max_body_bytes=max_body_bytes)

    # A plain function: BentoML passes the paths that it does not know itself to an
    # application that it cannot look into, and unknown routes answer in our shape too.
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return mounted
