"""Failures of single models in a command on several, which do not stop the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from features.errors import ForesellError, MissingData
from features.faults import record_failure
from foresell.progress import console

ALL = "all"


@dataclass
class Failures:
    """What failed, and why.

    Attributes
    ----------
    home
        Folder in which stacks of unexpected errors are kept.
    model
        The model that the user named, or `all`.
    messages
        The reason by task.
    """

    home: Path
    model: str
    messages: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def isolate(self, task: str, *passing: type[Exception]) -> Iterator[None]:
        """Report an error in the work on a task, unless it is to pass, and continue behind it."""
        try:
            yield
        except passing:
            raise
        except Exception as error:
            self.add(task, error)

    def add(self, task: str, error: Exception) -> None:
        """Report an error; with `all`, a task for which the dataset lacks something is left out.

        Raises
        ------
        ForesellError
            If the user named the task: the error is the answer to the command.
        """
        if isinstance(error, ForesellError) and self.model != ALL:
            raise error
        if isinstance(error, MissingData):
            console.print(f"[yellow]{task} is left out: {escape(error.message)}[/]")
            return
        self.messages[task] = record_failure(self.home, task, error)
        console.print(f"[red]{task} failed: {escape(self.messages[task])}[/]", soft_wrap=True)
