"""Run an administrative job in a process of its own, as the command line does.

A request in; the job's result, or its error, out. The jobs need MLflow and the datasets, which the
service does not load.
"""

import asyncio
import contextlib
import json
import sys
from importlib.util import find_spec
from typing import Any, Literal

from features.errors import ForesellError, InvalidInput, MissingData, NotFound, Unavailable

MODULE = "foresell.admin_job"
ERRORS: dict[str, type[ForesellError]] = {
    kind.__name__: kind for kind in (InvalidInput, MissingData, NotFound, Unavailable)
}


async def run(action: Literal["rollback", "forget"], **options: Any) -> list[dict[str, Any]]:
    """Run a job and return its rows.

    Raises
    ------
    ForesellError
        What the job raised; `Unavailable` where the job's code is not installed, as in a Bento, or
        it ended unexpectedly.
    """
    package = MODULE.rpartition(".")[0]
    if find_spec(package) is None or find_spec(MODULE) is None:
        raise Unavailable(
            f"This service cannot run `foresell {action}`: it was packed without it. Run the "
            "command where the datasets are."
        )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        # Through a pipe, because other users of the machine see the words of a command.
        request = json.dumps({"action": action, **options}).encode()
        output, _ = await process.communicate(request)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
    try:
        answer = json.loads(output)
    except ValueError:
        answer = {}
    if "rows" in answer:
        rows: list[dict[str, Any]] = answer["rows"]
        return rows
    kind = ERRORS.get(answer.get("error", ""), Unavailable)
    message = answer.get("message", f"`foresell {action}` ended unexpectedly; see the log.")
    raise kind(message, field=answer.get("field"))
