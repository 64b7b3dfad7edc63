"""The BentoML service, started by `bentoml serve`.

It serves the version published in `FORESELL_HOME`, or else the one packed into the Bento.
"""

import logging
from pathlib import Path

import bentoml

from foresell.settings import Settings
from serving.app import build_app
from serving.predictor import VersionHolder
from serving.readers import READERS

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
versions = VersionHolder([settings.home.absolute(), *PACKED], READERS, settings.poll_seconds)


@bentoml.service(
    name="foresell",
    workers=settings.workers,
    traffic={"timeout": TIMEOUT_SECONDS},
    logging={"access": {"enabled": False}},
    # Spans, which are not exported, would be most of the cost of a short answer.
    tracing={"excluded_urls": ".*"},
    envs=[{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
)
@bentoml.asgi_app(build_app(versions), path="/")
class Foresell:
    """Demand, churn, next purchase and recommendations over HTTP."""

    def __init__(self) -> None:
        configure_logging()
        versions.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop watching for new versions."""
        versions.stop()

    def __is_ready__(self) -> bool:
        """Whether a version is loaded, for `/readyz`."""
        return versions.ready
