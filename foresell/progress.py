"""Progress of long work on standard error: the current step, finished steps and their seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread

from rich.console import Console

# Without a terminal there is no width to fit tables into.
# Without a terminal there is no bar: a running step is named so often.
REPORT_SECONDS = 20.0
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)


@contextmanager
def progress(title: str, steps: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar; yields a function that begins the next step, given its name.

    Each finished step stays on screen with its seconds, and so does the total. Without a terminal
    there is no bar; every REPORT_SECONDS, a line names the step that runs.

    Parameters
    ----------
    title
        Name of the work.
    steps
        Number of steps, if it is known.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    started = time.monotonic()
    running: list[tuple[str, float]] = []
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar, nullcontext() if console.is_terminal else _reports(running):
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


@contextmanager
def _reports(running: list[tuple[str, float]]) -> Iterator[None]:
    """Print the running steps and their seconds every REPORT_SECONDS."""
    ended = Event()

    def report() -> None:
        while not ended.wait(REPORT_SECONDS):
            for name, since in list(running):
                console.print(f"  {name} [dim]{time.monotonic() - since:.0f} s so far[/]")

    reports = Thread(target=report, daemon=True)
    reports.start()
    try:
        yield
    finally:
        ended.set()
        reports.join()
