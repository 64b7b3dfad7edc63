"""The job behind `foresell reproduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foresell.progress import progress as progress_bar
from foresell.settings import Settings
from training.registered import Registry

if TYPE_CHECKING:
    from training.reproduce import Reproduction


def reproduce(settings: Settings, run: str) -> Reproduction:
    """Fit the version of a run, or of a label such as churn/3, again and compare the files.

    Raises
    ------
    NotFound
        If there is no such run or version, or its snapshot was removed.
    """
    registry = Registry(settings.mlruns, settings.tracking_database)
    task, _, number = run.partition("/")
    if number.isdecimal():
        run = registry.numbered(settings.dataset, task, int(number)).run_id
    else:
        registry.of_run(run)
    from training.reproduce import reproduce as fit_again

    with progress_bar(f"reproduce {run}") as progress:
        return fit_again(settings.home, registry, run, threads=settings.threads, progress=progress)
