"""The server process: starts BentoML's workers, restarts those that die, and ends with its parent.

`python -m serving.supervisor HOST PORT GRACE`; `launch.py` starts it. It is `bentoml serve` without
the command line, whose imports take seconds, and with a shorter pause between looks at the workers.
"""

import sys
from functools import partial
from typing import Any

import bentoml._internal.utils.circus as circus
from _bentoml_impl.server import serve_http
from bentoml._internal.log import configure_server_logging

from serving.instance import follow_parent
from serving.service import Foresell

SERVICE = "serving.service:Foresell"
# Seconds between two looks at the workers; BentoML's default is 10.
CHECK_SECONDS = 1.0


def main(host: str, port: str, grace_seconds: str) -> None:
    """Serve until a termination signal."""
    follow_parent()
    configure_server_logging()  # type: ignore[no-untyped-call]
    circus.create_standalone_arbiter = partial(
        circus.create_standalone_arbiter, check_delay=CHECK_SECONDS
    )
    service: Any = Foresell
    service.inject_config()
    serve_http(
        SERVICE,
        working_dir=".",
        host=host,
        port=int(port),
        timeout_graceful_shutdown=int(grace_seconds),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
