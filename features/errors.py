"""The error tree. Every message names the field, the value, the cause and the remedy."""


class ForesellError(Exception):
    """Something a person can act on; shown as one sentence, without a traceback.

    Parameters
    ----------
    message
        What is wrong and what to do about it.
    field
        The input that is at fault, if there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(ForesellError):
    """A value that the caller gave cannot be used."""


class NotFound(ForesellError):
    """A thing that the caller named does not exist."""


class MissingData(ForesellError):
    """A dataset lacks a table or a column that the work at hand needs."""


class ImportRejected(ForesellError):
    """Too many rows failed validation; the dataset stays as it was."""


class Unavailable(ForesellError):
    """Nothing to answer from yet, or another job holds the lock; try again later."""
