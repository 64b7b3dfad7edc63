"""Whether the service is alive and ready, and its metrics: endpoints for the machines around it."""

import os
from pathlib import Path

import orjson
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.events.follow import EventViews
from serving.http.metrics import scrape
from serving.instance import FOLDER_VARIABLE, is_draining
from serving.predictor import VersionHolder

ALIVE = PlainTextResponse("\n")


class Probes:
    """Answers `/livez`, `/healthz`, `/readyz` and `/metrics`; the application answers the rest.

    Parameters
    ----------
    app
        The application.
    versions
        The served versions.
    events
        The event logs.
    """

    def __init__(self, app: ASGIApp, versions: VersionHolder, events: EventViews) -> None:
        self.app, self.versions, self.events = app, versions, events
        folder = os.environ.get(FOLDER_VARIABLE)
        self.folder = None if folder is None else Path(folder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path in ("/livez", "/healthz"):
            await ALIVE(scope, receive, send)
        elif path == "/readyz":
            await self._ready()(scope, receive, send)
        elif path == "/metrics":
            content, media_type = scrape(self.versions, self.events)
            await Response(content, media_type=media_type)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _ready(self) -> Response:
        """Return 200 if requests can be answered, and versions and events are noticed, else 503."""
        versions, events = self.versions, self.events
        draining = self.folder is not None and is_draining(self.folder)
        served = versions.served
        state = {
            "ready": versions.ready and versions.watching and events.following and not draining,
            "version": None if served is None else served.record.version,
            "watching": versions.watching,
            "draining": draining,
            "fault": versions.fault,
            "following": events.following,
            "events_fault": events.fault,
            "events_position": events.position,
        }
        return Response(
            orjson.dumps(state), 200 if state["ready"] else 503, media_type="application/json"
        )
