"""The job behind `foresell rollback`: former champions are champions again, and served."""

from __future__ import annotations

from typing import Any

from features.errors import NotFound
from features.storage.locks import job_lock
from foresell.failures import ALL
from foresell.progress import progress as progress_bar
from foresell.settings import Settings


def rollback(settings: Settings, model: str, *, number: int | None = None) -> list[dict[str, Any]]:
    """Make the former champion of a task, or of all tasks, the champion and publish it.

    Folders of a version on disk are reused, so this takes seconds.

    Parameters
    ----------
    model
        A task, or `all`: those that have a former champion.
    number
        Number of the version in the registry instead of the former champion.

    Returns
    -------
    list of dict
        model, champion, replaced (versions), published (name of the served version).

    Raises
    ------
    NotFound
        If there is no former champion, or no version of the number.
    InvalidInput
        If the version is the champion already, or cannot be read by this code.
    Unavailable
        If an import or a training job is running.
    """
    from training.promote import roll_back
    from training.publish import publish
    from training.registry import select_tasks
    from training.tracking import Tracker

    rows: list[dict[str, Any]] = []
    with (
        job_lock(settings.home, "retrain"),
        progress_bar(f"roll back {model} on {settings.dataset}") as progress,
    ):
        tracker = Tracker(settings.mlruns, settings.tracking_database)
        missing: NotFound | None = None
        for task in select_tasks(model):
            try:
                former, replaced = roll_back(tracker, settings.dataset, task.name, number)
            except NotFound as error:
                if model != ALL:
                    raise
                missing = error
                continue
            rows.append({"model": task.name, "champion": former.label, "replaced": replaced.label})
        if missing is not None and not rows:
            raise missing
        version = publish(
            settings.home,
            tracker,
            settings.dataset,
            keep=settings.keep_versions,
            progress=progress,
        )
    return [row | {"published": version} for row in rows]
