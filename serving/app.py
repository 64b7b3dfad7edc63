"""The HTTP application: routes of all domains, error handling and limits."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from features.events.log import EventLog
from serving.admin import routes as admin
from serving.audience import routes as audience
from serving.customers import routes as customers
from serving.demand import routes as demand
from serving.events import routes as event_routes
from serving.events.follow import EventViews
from serving.http.errors import handle_errors
from serving.http.middleware import REQUEST_ID, Guard, Policy
from serving.http.probes import Probes
from serving.http.respond import Responder
from serving.predictor import VersionHolder
from serving.recommender import routes as recommender
from serving.status import routes as status

OPENAPI = "/v1/openapi.json"


def build_app(
    versions: VersionHolder,
    max_body_bytes: int | None = None,
    policy: Policy | None = None,
    cors_origins: Sequence[str] = (),
    events: EventViews | None = None,
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
    events
        The newest events of their datasets; by default from files in the first home.
    """
    app = FastAPI(
        title="Foresell",
        summary="Demand, churn, next purchase, value and recommendations",
        version="1",
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        # Telemetry of failed validations would quote request bodies.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    policy = policy or Policy()
    if max_body_bytes is not None:
        policy = replace(policy, max_body_bytes=max_body_bytes)
    events = events or EventViews(versions, lambda name: EventLog(versions.homes[0], name))
    responder = Responder(versions, events)
    for domain in (recommender, demand, customers, audience, event_routes):
        app.include_router(domain.router(responder))
    app.include_router(status.router(responder, policy.max_body_bytes))
    app.include_router(admin.router())
    _add_docs(app)
    handle_errors(app)
    # Within Starlette's own handler of exceptions, so that every response has the same shape; the
    # last one is the first to see a request.
    app.add_middleware(Probes, versions=versions, events=events)
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


def _operation_id(route: APIRoute) -> str:
    """Name operations, and so the functions of generated clients, after their functions."""
    return route.name


def _add_docs(app: FastAPI) -> None:
    """Add the description of the endpoints, whose assets come from an installed package."""
    assets = files("fastapi_offline") / "static"
    app.mount("/docs/assets", StaticFiles(directory=str(assets)), name="assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """Show the endpoints, with forms to try them."""
        return get_swagger_ui_html(
            openapi_url=OPENAPI,
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        """Redirect browsers to the description of the endpoints."""
        return RedirectResponse("/docs")
