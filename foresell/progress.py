"""Progress of long work on standard error: what is done now, what is done, how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

# Where no terminal says how wide it is, tables get the room that they need.
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show a title and a live line; yields a function that takes the next step's sentence.

    Each finished step is left on screen with its seconds, and so is the whole.
    """
    started = time.monotonic()
    step: list[tuple[str, float]] = []

    def finish() -> None:
        for sentence, since in step:
            console.print(f"  [green]✓[/] {sentence} [dim]{time.monotonic() - since:.1f} s[/]")
        step.clear()

    with Status(title, console=console) as status:

        def tell(sentence: str) -> None:
            finish()
            step.append((sentence, time.monotonic()))
            status.update(f"{title}: {sentence}")

        yield tell
        finish()
    console.print(f"[bold]{title}[/]: done in {time.monotonic() - started:.1f} s")
