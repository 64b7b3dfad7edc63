"""How a fault is told in the log: so that it can be found, and without anybody's data."""

import traceback

from features.errors import ForesellError


def described(error: BaseException) -> str:
    """Name a fault's type and place, or give its message if that is ours.

    Other messages may quote what a library stumbled on: a customer's data.
    """
    if isinstance(error, ForesellError):
        return error.message
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
