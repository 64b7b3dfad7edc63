"""Progress of long work on standard error: the current step, finished steps and their seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Without a terminal there is no width to fit tables into.
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)


@contextmanager
def progress(title: str, steps: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar; yields a function that begins the next step, given its name.

    Each finished step stays on screen with its seconds, and so does the total.

    Parameters
    ----------
    title
        Name of the work.
    steps
        Number of steps, if it is known.
    """
    started = time.monotonic()
    running: list[tuple[str, float]] = []
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        line = bar.add_task(title, total=steps)

        def finish() -> None:
            for name, since in running:
                console.print(f"  [green]✓[/] {name} [dim]{time.monotonic() - since:.1f} s[/]")
                bar.advance(line)
            running.clear()

        def begin(name: str) -> None:
            finish()
            running.append((name, time.monotonic()))
            bar.update(line, description=name)

        yield begin
        finish()
    console.print(f"[bold]{title}[/]: done in {time.monotonic() - started:.1f} s")
