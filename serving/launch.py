"""Run the service from the sources as a subprocess, and stop all of its processes."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

import psutil

from features.errors import Unavailable
from serving.instance import DRAINING, FOLDER_VARIABLE

SOURCES = Path(__file__).resolve().parents[1]
WATCH_SECONDS = 0.25
# Time for running requests after an interrupt, beyond the time that a request may take.
GRACE_SECONDS = 5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger(__name__)


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
    request_seconds: float = 30,
    drain_seconds: float = 0,
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
    request_seconds
        Time that running requests get to end.
    drain_seconds
        Time between a termination signal and the stop, in which `/readyz` says 503 and requests are
        still answered. An interrupt (Ctrl-C), or a second signal, does not wait.

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
    instance = Path(tempfile.mkdtemp(prefix="foresell-"))
    grace_seconds = int(request_seconds) + GRACE_SECONDS
    server = _start(
        command(host, port, grace_seconds),
        environment(home, workers, dataset) | {FOLDER_VARIABLE: str(instance)},
    )
    workers_seen = _Workers()
    try:
        with _stop_signals() as (interrupted, signals):
            _attend(server, interrupted, workers_seen, watch, f"http://{host}:{port}")
            if signals:
                _drain(server, instance, signals, drain_seconds)
            code = _wait(server, grace_seconds)
    finally:
        _kill(server, workers_seen.all)
        shutil.rmtree(instance, ignore_errors=True)
    return 0 if signals else code


@contextlib.contextmanager
def _stop_signals() -> Iterator[tuple[threading.Event, list[int]]]:
    """Collect signals to stop, and restore their former handlers at the end."""
    signals: list[int] = []
    interrupted = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signals.append(signum)
        interrupted.set()

    former = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield interrupted, signals
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _attend(
    server: subprocess.Popen[bytes],
    interrupted: threading.Event,
    workers: "_Workers",
    watch: Watch | None,
    url: str,
) -> None:
    """Look at the workers and call `watch` until the server ends or is interrupted."""
    responds = False
    while server.poll() is None and not interrupted.wait(WATCH_SECONDS):
        workers.look(server)
        if watch is not None:
            responds = responds or _responds(url)
            watch(responds=responds)


class _Workers:
    """Processes of the server, recorded while they run, to be killed if it does not end them."""

    def __init__(self) -> None:
        self.all: set[psutil.Process] = set()
        self._direct: set[psutil.Process] = set()

    def look(self, server: subprocess.Popen[bytes]) -> None:
        """Record new processes, and log those that ended."""
        self.all.update(_children(server))
        direct = set(_children(server, recursive=False))
        for worker in self._direct - direct:
            log.warning("worker %d ended unexpectedly; another one is started", worker.pid)
        self._direct = direct


def _drain(
    server: subprocess.Popen[bytes], instance: Path, signals: list[int], seconds: float
) -> None:
    """Let load balancers notice that the service stops, then ask it to stop."""
    (instance / DRAINING).touch()
    end = time.monotonic() + (seconds if signals == [signal.SIGTERM] else 0)
    while server.poll() is None and len(signals) == 1 and time.monotonic() < end:
        time.sleep(min(WATCH_SECONDS, max(0.0, end - time.monotonic())))
    if server.poll() is None:
        # SIGTERM, because SIGINT during imports prints a traceback.
        server.terminate()


def _start(words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the server in a new session, so that Ctrl-C reaches it once, through `serve`."""
    return subprocess.Popen(  # noqa: S603
        words, cwd=SOURCES, env=environment, start_new_session=True
    )


def command(host: str, port: int, grace_seconds: int = GRACE_SECONDS) -> list[str]:
    """Return the command that serves the sources."""
    return [sys.executable, "-m", "serving.supervisor", host, str(port), str(grace_seconds)]


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


def _wait(server: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the server to exit, with a timeout."""
    try:
        return server.wait(timeout=seconds + GRACE_SECONDS)
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


def _children(server: subprocess.Popen[bytes], *, recursive: bool = True) -> list[psutil.Process]:
    try:
        return psutil.Process(server.pid).children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def _responds(url: str) -> bool:
    """Whether the service answers, with or without a published version."""
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=2):  # noqa: S310
            return True
    except OSError:
        return False
