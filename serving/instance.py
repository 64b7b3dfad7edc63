"""One running instance of the service: its folder, its address and its parent process.

The launcher starts a server (`serving.supervisor`), which starts the workers. Each ends when its
parent is gone, so that none keeps the port.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

# The instance's folder: metrics of the workers, and the mark of the launcher that it drains.
FOLDER_VARIABLE = "FORESELL_INSTANCE"
DRAINING = "draining"
METRICS = "metrics"
FOLLOW_SECONDS = 0.5


def instance_folder() -> Path:
    """Return the folder of this worker's instance, and create it.

    It is named by the environment, or else after the server, whose workers then share it.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named or Path(tempfile.gettempdir()) / f"foresell-{os.getuid()}-{os.getppid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / METRICS).mkdir(exist_ok=True)
    return folder


def is_draining(folder: Path) -> bool:
    """Whether the instance is about to stop."""
    return (folder / DRAINING).exists()


def bound_to_loopback() -> bool:
    """Whether this process listens on loopback addresses only; false if it does not listen."""
    connections = psutil.Process().net_connections(kind="tcp")
    addresses = {item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN}
    return bool(addresses) and all(is_loopback(address) for address in addresses)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a host."""
    return host in ("localhost", "::1") or host.startswith("127.")


def follow_parent(stop: Callable[[], None] | None = None) -> None:
    """Watch the parent process in a thread, and stop when it is gone.

    Parameters
    ----------
    stop
        Called once; by default the process ends itself as on a termination signal.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(FOLLOW_SECONDS)
        (stop or _terminate)()

    threading.Thread(target=watch, name="follow", daemon=True).start()


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
