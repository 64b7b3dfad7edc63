"""The BentoML service, started by `foresell serve` or `bentoml serve`.

It serves the version published in `FORESELL_HOME`, or else the one packed into the Bento. The
supervising process imports this module too; what answers requests is imported by the workers alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from foresell.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from serving.events.follow import EventViews
    from serving.http.middleware import Policy
    from serving.predictor import VersionHolder

SOURCES = Path(__file__).resolve().parents[1]
# In a Bento, bento.yaml is above the sources. In a checkout, a .foresell beside the sources is not
# packed, but the home of some other run.
PACKED = [SOURCES / ".foresell"] if (SOURCES.parent / "bento.yaml").is_file() else []

ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    # One thread per library: distributing a small request takes longer than computing it
    # (LightGBM, one row: 20 ms with threads, 0.07 ms without). Workers use the other cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}

settings = Settings()


@cache
def versions() -> VersionHolder:
    """Return the holder of the published version."""
    from serving.activation import Activation
    from serving.instance import instance_folder
    from serving.predictor import VersionHolder
    from serving.readers import READERS

    shared = instance_folder() / "versions"
    is_named = "dataset" in settings.model_fields_set
    return VersionHolder(
        [settings.home.absolute(), *PACKED],
        READERS,
        settings.poll_seconds,
        dataset=settings.dataset if is_named else None,
        preferred=settings.dataset,
        activation=lambda dataset: Activation(shared / dataset),
    )


@cache
def events() -> EventViews:
    """Return the newest events of the served datasets."""
    from features.events.log import EventLog
    from serving.events.follow import EventViews

    home, url = settings.home.absolute(), settings.events_database
    return EventViews(
        versions(),
        lambda dataset: EventLog(home, dataset, url),
        most_events=settings.events_in_memory,
    )


def import_lightgbm() -> None:
    """Import LightGBM without scikit-learn and pandas, which it imports where they are installed.

    The service gives it NumPy arrays alone, as in a Bento, which has neither.
    """
    hidden = [name for name in ("sklearn", "pandas") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import lightgbm  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


def policy() -> Policy:
    """Build the limits and checks of requests from the settings."""
    from serving.http.access import LOOPBACK_HOSTS, HostCheck, KeyCheck, LoadLimit, RateLimit
    from serving.http.keys import KeyStore
    from serving.http.middleware import Policy
    from serving.http.spans import SpanExporter
    from serving.instance import bound_to_loopback

    local = bound_to_loopback()
    hosts = settings.allowed_hosts or (LOOPBACK_HOSTS if local else ["*"])
    required = not local if settings.require_key is None else settings.require_key
    load = LoadLimit(settings.max_concurrency, settings.max_wait_seconds)
    return Policy(
        body_seconds=settings.body_seconds,
        request_seconds=settings.request_seconds,
        checks=(
            load,
            HostCheck(frozenset(hosts)),
            KeyCheck(KeyStore(settings.home.absolute()), required),
            RateLimit(settings.rate_limit, 1 / settings.workers),
        ),
        load=load,
        access_log=settings.access_log,
        spans=None if settings.otlp_endpoint is None else SpanExporter(settings.otlp_endpoint),
    )


@cache
def application() -> ASGIApp:
    """Build the application."""
    import_lightgbm()
    from serving.app import build_app

    return build_app(
        versions(), policy=policy(), cors_origins=settings.cors_origins, events=events()
    )


# A plain function, which BentoML cannot inspect, receives all paths that BentoML does not serve
# itself. Under Uvicorn, requests do not pass through BentoML at all (`serving.http.protocol`).
async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to a request."""
    await application()(scope, receive, send)


def prepare_worker() -> None:
    """Lead requests to the application, before Uvicorn and Prometheus are configured."""
    from serving.instance import FOLDER_VARIABLE, METRICS, instance_folder

    folder = instance_folder()
    os.environ[FOLDER_VARIABLE] = str(folder)
    # BentoML's folder is shared by all instances of a user, and each deletes it when it starts.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder / METRICS)
    # Before anything of ours that imports it.
    import_lightgbm()
    from serving.http.protocol import install

    install()


# The worker builds Uvicorn's configuration right after it has imported this module.
if getattr(sys.modules["__main__"].__spec__, "name", "") == "_bentoml_impl.worker.service":
    prepare_worker()


@bentoml.service(
    name="foresell",
    workers=settings.workers,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    # Spans, which are not exported, would be most of the cost of a short answer.
    tracing={"excluded_urls": ".*"},
    envs=[{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
)
@bentoml.asgi_app(respond, path="/")
class Foresell:
    """Demand, churn, next purchase and recommendations over HTTP."""

    def __init__(self) -> None:
        from serving.http import protocol
        from serving.instance import follow_parent
        from serving.logs import configure_logging

        configure_logging(settings.log_format)
        follow_parent()
        protocol.TimedProtocol.applications.append(application())
        versions().start()
        events().start()
        # Collections then leave out what stays, which would stall requests for 0.1 s.
        gc.collect()
        gc.freeze()
        # glibc keeps what loading has freed; other C libraries lack the function.
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Start what runs beside requests."""
        from serving.http import protocol
        from serving.http.metrics import metrics

        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(metrics().measure_lag()),
            loop.create_task(protocol.sweep(settings.body_seconds)),
        ]

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop watching for new versions and events."""
        events().stop()
        versions().stop()
