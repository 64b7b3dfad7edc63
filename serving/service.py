"""The BentoML service: published models in, HTTP out; started by `bentoml serve`.

It reads `FORESELL_HOME/published`, and where nothing is published there, what was packed
beside the sources when the Bento was built.
"""

import logging
from pathlib import Path

import bentoml

from foresell.settings import Settings
from serving.app import build_app
from serving.predictor import VersionHolder
from serving.readers import READERS

SOURCES = Path(__file__).resolve().parents[1]
# A Bento keeps its record above the sources that it packed; in a checkout what lies beside
# the sources is some other home's state.
PACKED = [SOURCES / ".foresell"] if (SOURCES.parent / "bento.yaml").is_file() else []
TIMEOUT_SECONDS = 30

ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    # One thread a library: to spread a small question over threads takes longer than to
    # answer it (LightGBM, one row: 20 ms against 0.07). Cores are for workers.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


def tell_operators() -> None:
    """Let what the service says of its versions stand among the server's own lines."""
    spoken = logging.getLogger("serving")
    if not spoken.handlers:
        shown = logging.StreamHandler()
        shown.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] [foresell] %(message)s"))
        spoken.addHandler(shown)
        spoken.setLevel(logging.INFO)
        spoken.propagate = False


settings = Settings()
predictor = VersionHolder([settings.home.absolute(), *PACKED], READERS, settings.poll_seconds)


@bentoml.service(
    name="foresell",
    workers=settings.workers,
    traffic={"timeout": TIMEOUT_SECONDS},
    logging={"access": {"enabled": False}},
    # Spans that nobody exports would be most of what a short answer costs.
    tracing={"excluded_urls": ".*"},
    envs=[{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
)
@bentoml.asgi_app(build_app(predictor), path="/")
class Foresell:
    """Demand, churn, next purchase and recommendations over HTTP."""

    def __init__(self) -> None:
        tell_operators()
        predictor.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """End the watch for new versions."""
        predictor.stop()

    def __is_ready__(self) -> bool:
        """Whether there is a version to answer from: BentoML's `/readyz`."""
        return predictor.ready
