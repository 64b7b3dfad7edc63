"""The HTTP application: routes of all domains, error handling and limits."""

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


def build_app(versions: VersionHolder, max_body_bytes: int = MAX_BODY_BYTES) -> ASGIApp:
    """Build the application that answers from the current version."""
    app = FastAPI(
        title="Foresell",
        summary="Demand, churn, next purchase, value and recommendations",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        # Telemetry of failed validations would quote request bodies.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    responder = Responder(versions)
    for domain in (recommender, demand, customers, audience):
        app.include_router(domain.router(responder))

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        """Redirect browsers to the description of the endpoints."""
        return RedirectResponse("/docs")

    handle_errors(app)
    # Within Starlette's own handler of exceptions, so that every response has the same shape.
    app.add_middleware(Guard, max_body_bytes=max_body_bytes)

    return app
