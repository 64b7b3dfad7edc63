"""The error tree: messages name the field, its value, the cause and the remedy."""


class ForesellError(Exception):
    """An error that the user can correct; shown as one sentence, without a traceback.

    Parameters
    ----------
    message
        What is wrong and what to do about it.
    field
        The invalid input, if there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(ForesellError):
    """A value from the caller is invalid."""


class NotFound(ForesellError):
    """A name from the caller does not exist."""


class MissingData(ForesellError):
    """A dataset lacks a required table or column."""


class ImportRejected(ForesellError):
    """Too many rows failed validation, or rows contradict each other; the dataset is unchanged.

    Parameters
    ----------
    summary
        The message without values of records, to be stored.
    """

    def __init__(self, message: str, *, field: str, summary: str) -> None:
        super().__init__(message, field=field)
        self.summary = summary


class Unavailable(ForesellError):
    """Nothing is published yet, or another job holds the lock; try again later."""
