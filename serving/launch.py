"""Run the service from the sources as a subprocess, and stop all of its processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Protocol

import psutil

from features.errors import Unavailable

SOURCES = Path(__file__).resolve().parents[1]
WATCH_SECONDS = 0.25
# Time for running requests after an interrupt.
GRACE_SECONDS = 5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watch(Protocol):
    """Called while the service runs."""

    def __call__(self, *, responds: bool) -> None:
        """Take whether the service responds yet, with or without a published version."""
        ...


def serve(
    *,
    home: Path,
    host: str,
    port: int,
    workers: int = 1,
    dataset: str | None = None,
    watch: Watch | None = None,
) -> int:
    """Run the service until it is interrupted or ends by itself.

    Parameters
    ----------
    home
        Folder of published versions.
    host, port
        Address to listen on.
    workers
        Number of serving processes.
    dataset
        The dataset of requests that name none; by default that of the environment.
    watch
        Called a few times per second until the service ends.

    Returns
    -------
    int
        0 after an interrupt (Ctrl-C or a termination signal), else the server's exit code.

    Raises
    ------
    Unavailable
        If the address is in use or invalid.
    """
    _check_free(host, port)
    server = _start(command(host, port), environment(home, workers, dataset))
    interrupted = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        interrupted.set()
        if server.poll() is None:
            # SIGTERM, because SIGINT during imports prints a traceback.
            server.terminate()

    former = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    processes: set[psutil.Process] = set()
    responds = False
    try:
        while server.poll() is None and not interrupted.wait(WATCH_SECONDS):
            # Recorded while they run, to be killed if the server does not end them.
            processes.update(_children(server))
            if watch is not None:
                responds = responds or _responds(f"http://{host}:{port}")
                watch(responds=responds)
        code = _wait(server)
    finally:
        _kill(server, processes)
        for number, handler in former.items():
            signal.signal(number, handler)
    return 0 if interrupted.is_set() else code


def _start(words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the server in a new session, so that Ctrl-C reaches it once, through `serve`."""
    return subprocess.Popen(  # noqa: S603
        words, cwd=SOURCES, env=environment, start_new_session=True
    )


def command(host: str, port: int) -> list[str]:
    """Return the command that serves the sources."""
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


def environment(home: Path, workers: int, dataset: str | None = None) -> dict[str, str]:
    """Return the environment variables of the server."""
    return {
        **os.environ,
        "FORESELL_HOME": str(home.absolute()),
        **({"FORESELL_DATASET": dataset} if dataset is not None else {}),
        "FORESELL_WORKERS": str(workers),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
    }


def _check_free(host: str, port: int) -> None:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            # As the server does, so that lingering connections of a former server do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host}:{port} ({error.strerror}); choose another with --port.",
            field="port",
        ) from error


def _wait(server: subprocess.Popen[bytes]) -> int:
    """Wait for the server to exit, with a timeout."""
    try:
        return server.wait(timeout=2 * GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL


def _kill(server: subprocess.Popen[bytes], processes: set[psutil.Process]) -> None:
    """Kill remaining processes: workers lead their own process groups and could stay."""
    processes.update(_children(server))
    if server.poll() is None:
        server.kill()
        server.wait()
    for worker in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _children(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _responds(url: str) -> bool:
    """Whether the service answers, with or without a published version."""
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=2):  # noqa: S310
            return True
    except OSError:
        return False
