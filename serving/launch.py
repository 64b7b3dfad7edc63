"""Start the service from the sources, as `foresell serve` does, and end it whole."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import psutil

from features.errors import Unavailable

SOURCES = Path(__file__).resolve().parents[1]
READY_SECONDS = 60
# What requests in flight get after an interrupt before they are cut.
GRACE_SECONDS = 5
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    *,
    home: Path,
    host: str,
    port: int,
    workers: int = 1,
    when_ready: Callable[[str], None] | None = None,
) -> int:
    """Run the service until it is interrupted or ends by itself.

    Parameters
    ----------
    home
        Where published versions are found.
    host, port
        The address to listen on.
    workers
        Serving processes.
    when_ready
        Called once with the service's URL when it answers, while it serves.

    Returns
    -------
    int
        0 after an interrupt (Ctrl-C or a termination signal), else the server's exit code.

    Raises
    ------
    Unavailable
        If the address cannot be listened on.
    """
    _check_free(host, port)
    # A session of its own: the terminal's Ctrl-C reaches the server once, through here.
    server = subprocess.Popen(  # noqa: S603
        command(host, port),
        cwd=SOURCES,
        env=environment(home, workers),
        start_new_session=True,
    )
    interrupted = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        interrupted.set()
        if server.poll() is None:
            # Not an interrupt: one that comes while it still imports shows a traceback.
            server.terminate()

    former = {kind: signal.signal(kind, end) for kind in ENDINGS}
    url = f"http://{host}:{port}"
    family: set[psutil.Process] = set()
    try:
        if when_ready is not None and _wait_until_ready(url, server):
            when_ready(url)
        code = _wait(server, interrupted, family)
    finally:
        _end(server, family)
        for kind, handler in former.items():
            signal.signal(kind, handler)
    return 0 if interrupted.is_set() else code


def command(host: str, port: int) -> list[str]:
    """Return the line that serves the sources."""
    return [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.service:Foresell",
        "--working-dir",
        str(SOURCES),
        "--host",
        host,
        "--port",
        str(port),
        "--timeout-graceful-shutdown",
        str(GRACE_SECONDS),
    ]


def environment(home: Path, workers: int) -> dict[str, str]:
    """Return the environment that the server runs in."""
    return {
        **os.environ,
        "FORESELL_HOME": str(home.absolute()),
        "FORESELL_WORKERS": str(workers),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
    }


def _check_free(host: str, port: int) -> None:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            # As the server does: connections of a former one that linger are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host}:{port} ({error.strerror}); choose another with --port.",
            field="port",
        ) from error


def _wait(
    server: subprocess.Popen[bytes], interrupted: threading.Event, family: set[psutil.Process]
) -> int:
    """Wait for the end, after an interrupt not for ever; note the workers on the way."""
    while server.poll() is None and not interrupted.is_set():
        family.update(_children(server))
        interrupted.wait(0.5)
    try:
        return server.wait(timeout=2 * GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL


def _end(server: subprocess.Popen[bytes], family: set[psutil.Process]) -> None:
    """Kill what is left, normally nothing: workers lead groups of their own and would stay."""
    family.update(_children(server))
    if server.poll() is None:
        server.kill()
        server.wait()
    for worker in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _children(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310
                return True
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    return False
