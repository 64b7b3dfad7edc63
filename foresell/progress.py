"""Progress of long work on standard error: what is done now, what is done, how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Where no terminal says how wide it is, tables get the room that they need.
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)


@contextmanager
def progress(title: str, steps: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show a bar over the steps of some work; yields a function that takes the next one's name.

    Each finished step is left on screen with its seconds, and so is the whole.

    Parameters
    ----------
    title
        What the work is.
    steps
        How many steps there will be, where that is known.
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

        def tell(name: str) -> None:
            finish()
            running.append((name, time.monotonic()))
            bar.update(line, description=name)

        yield tell
        finish()
    console.print(f"[bold]{title}[/]: done in {time.monotonic() - started:.1f} s")
