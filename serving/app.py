"""The HTTP application: routes of all domains, error handling and limits."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from serving.admin import routes as admin
from serving.audience import routes as audience
from serving.customers import routes as customers
from serving.demand import routes as demand
from serving.http.errors import handle_errors
from serving.http.middleware import REQUEST_ID, Guard, Policy
from serving.http.probes import Probes
from serving.http.respond import Responder
from serving.predictor import VersionHolder
from serving.recommender import routes as recommender


def build_app(
    versions: VersionHolder,
    max_body_bytes: int | None = None,
    policy: Policy | None = None,
    cors_origins: Sequence[str] = (),
) -> ASGIApp:
    """Build the application that answers from the current version.

    Parameters
    ----------
    versions
        The served versions.
    max_body_bytes
        Largest body; by default that of the policy.
    policy
        Limits and checks of every request; by default only the limits.
    cors_origins
        Origins of web pages that may read answers; none by default.
    """
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
    app.include_router(admin.router())

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        """Redirect browsers to the description of the endpoints."""
        return RedirectResponse("/docs")

    handle_errors(app)
    policy = policy or Policy()
    if max_body_bytes is not None:
        policy = replace(policy, max_body_bytes=max_body_bytes)
    # Within Starlette's own handler of exceptions, so that every response has the same shape; the
    # last one is the first to see a request.
    app.add_middleware(Probes, versions=versions)
    app.add_middleware(Guard, policy=policy)
    if cors_origins:
        # Before the checks, because a preflight request has no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key", REQUEST_ID],
            expose_headers=[REQUEST_ID, "retry-after"],
        )
    return app
