"""MLflow's interface on the store that the settings name: what to execute, and its environment."""

from __future__ import annotations

import os
import socket
import sys

from features.errors import InvalidInput, NotFound
from foresell.settings import Settings
from training.registered import Registry


def command(settings: Settings, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment of a process that serves the interface.

    Raises
    ------
    NotFound
        If nothing has been trained yet.
    InvalidInput
        If the port cannot be listened on.
    """
    registry = Registry(settings.mlruns, settings.tracking_database)
    if not registry.exists():
        raise NotFound(
            f"There is no store of runs in {registry.mlruns} yet; run `foresell train all`, or set "
            "FORESELL_MLRUNS.",
            field="mlruns",
        )
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise InvalidInput(
            f"port = {port}: cannot listen on {host}:{port} ({error.strerror}); choose another "
            "--port or --host.",
            field="port",
        ) from error
    arguments = ["server", "--host", host, "--port", str(port), "--workers", "1"]
    # Arguments are visible to all users of the machine, and a URL may hold a password.
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": registry.uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": registry.artifacts.as_uri(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return [sys.executable, "-m", "mlflow", *arguments], environment
