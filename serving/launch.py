"""Start the service from the sources, as `foresell serve` does, and end it whole."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

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
    """
    # A group of its own: workers cannot outlive it, and the terminal's Ctrl-C reaches the
    # server once, through here, and not every process at once.
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
            server.send_signal(signal.SIGINT)

    former = {kind: signal.signal(kind, end) for kind in ENDINGS}
    try:
        if when_ready is not None and _wait_until_ready(f"http://{host}:{port}", server):
            when_ready(f"http://{host}:{port}")
        code = _wait(server, interrupted)
    finally:
        _end_group(server)
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
    # One thread a library: spreading a small question over threads takes longer than it
    # does (LightGBM's one row 20 ms against 0.07 ms), and workers are what uses the cores.
    one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(one, "1"),
        "FORESELL_HOME": str(home.absolute()),
        "FORESELL_WORKERS": str(workers),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
    }


def _wait(server: subprocess.Popen[bytes], interrupted: threading.Event) -> int:
    """Wait for the end; after an interrupt not for ever."""
    while server.poll() is None and not interrupted.is_set():
        time.sleep(0.1)
    try:
        return server.wait(timeout=2 * GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the server's group: normally nothing."""
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310
                return True
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    return False
