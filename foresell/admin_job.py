"""An administrative job for the service: a request on standard input, rows on standard output.

Run as `python -m foresell.admin_job`, so that the service itself loads neither MLflow nor datasets.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from features.errors import ForesellError
from foresell.settings import Settings


def run(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the job that a request names, and return its rows.

    Parameters
    ----------
    request
        `action`, `rollback` or `forget`, and the options of the command of that name.

    Raises
    ------
    ForesellError
        As the commands do.
    """
    settings, dataset = Settings(), request.get("dataset")
    if request["action"] == "forget":
        from foresell.forget import forget

        return forget(settings, request["customer_id"], dataset)
    from foresell.promotion import rollback

    if dataset is not None:
        settings = settings.model_copy(update={"dataset": dataset})
    return rollback(settings, request["model"], number=request.get("to"))


def main() -> None:
    """Read the request, run the job, and write its rows or its error as JSON."""
    try:
        answer: dict[str, Any] = {"rows": run(json.load(sys.stdin))}
    except ForesellError as error:
        kind = next(
            base.__name__ for base in type(error).__mro__ if base.__module__ == "features.errors"
        )
        answer = {"error": kind, "message": error.message, "field": error.field}
    sys.stdout.write(json.dumps(answer, default=str) + "\n")


if __name__ == "__main__":
    main()
