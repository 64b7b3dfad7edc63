"""Describe an exception for the log without quoting customer data."""

import traceback

from features.errors import ForesellError


def describe_fault(error: BaseException) -> str:
    """Return the message of a `ForesellError`, or the type and stack of any other exception.

    Messages of other exceptions are left out, because libraries quote the data that they fail on.
    """
    if isinstance(error, ForesellError):
        return error.message
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
