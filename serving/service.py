"""The BentoML service, started by `bentoml serve`.

It serves the version published in `FORESELL_HOME`, or else the one packed into the Bento. The
supervising process imports this module too; what answers requests is imported by the workers alone.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from foresell.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from serving.predictor import VersionHolder

SOURCES = Path(__file__).resolve().parents[1]
# In a Bento, bento.yaml is above the sources. In a checkout, a .foresell beside the sources is not
# packed, but the home of some other run.
PACKED = [SOURCES / ".foresell"] if (SOURCES.parent / "bento.yaml").is_file() else []
TIMEOUT_SECONDS = 30

ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    # One thread per library: distributing a small request takes longer than computing it
    # (LightGBM, one row: 20 ms with threads, 0.07 ms without). Workers use the other cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


def configure_logging() -> None:
    """Write the log of the service in the format of the server's log."""
    logger = logging.getLogger("serving")
    if not logger.handlers:
        handler = logging.StreamHandler()
        form = "%(asctime)s [%(levelname)s] [foresell] %(message)s"
        handler.setFormatter(logging.Formatter(form))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


settings = Settings()


@cache
def versions() -> VersionHolder:
    """Return the holder of the published version."""
    from serving.predictor import VersionHolder
    from serving.readers import READERS

    is_named = "dataset" in settings.model_fields_set
    return VersionHolder(
        [settings.home.absolute(), *PACKED],
        READERS,
        settings.poll_seconds,
        dataset=settings.dataset if is_named else None,
        preferred=settings.dataset,
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


@cache
def application() -> ASGIApp:
    """Build the application."""
    import_lightgbm()
    from serving.app import build_app

    return build_app(versions())


# A plain function, which BentoML cannot inspect, receives all paths that BentoML does not serve
# itself, so unknown paths get an error of the same shape too.
async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to a request."""
    await application()(scope, receive, send)


@bentoml.service(
    name="foresell",
    workers=settings.workers,
    traffic={"timeout": TIMEOUT_SECONDS},
    logging={"access": {"enabled": False}},
    # Spans, which are not exported, would be most of the cost of a short answer.
    tracing={"excluded_urls": ".*"},
    envs=[{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
)
@bentoml.asgi_app(respond, path="/")
class Foresell:
    """Demand, churn, next purchase and recommendations over HTTP."""

    def __init__(self) -> None:
        configure_logging()
        application()
        versions().start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop watching for new versions."""
        versions().stop()

    def __is_ready__(self) -> bool:
        """Whether a version is loaded and the next one is watched for, for `/readyz`."""
        return versions().ready and versions().watching
