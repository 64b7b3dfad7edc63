"""Describe an exception without quoting customer data, for logs and for people."""

import traceback
from pathlib import Path

from features.errors import ForesellError


def describe_fault(error: BaseException) -> str:
    """Return the message of a `ForesellError`, or the type and stack of any other exception.

    Messages of other exceptions are left out, because libraries quote the data that they fail on.
    """
    if isinstance(error, ForesellError):
        return error.message
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def record_failure(home: Path, task: str, error: Exception) -> str:
    """Return why the model of a task failed, in one sentence.

    Of an exception that is no `ForesellError`, the stack is kept in `<home>/failures/<task>.txt`.
    """
    if isinstance(error, ForesellError):
        return error.message
    path = home / "failures" / f"{task}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(describe_fault(error))
    return f"unexpected {type(error).__name__}; {path} shows where it arose"
