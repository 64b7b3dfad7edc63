"""The jobs behind `foresell promote` and `foresell rollback`: champions by hand, and served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.errors import InvalidInput, NotFound
from features.storage.locks import job_lock
from foresell.failures import ALL
from foresell.progress import progress as progress_bar
from foresell.settings import Settings

if TYPE_CHECKING:
    from training.backtest import Progress
    from training.tracking import Tracker


def promote(
    settings: Settings, model: str, number: int, *, force: bool = False, reason: str = ""
) -> list[dict[str, Any]]:
    """Make a version the champion of its task and publish it.

    Parameters
    ----------
    model, number
        A task, and the number of the version in the registry.
    force
        Whether to promote a version that the gate refused or has not seen.
    reason
        Recorded in the version's run; required with `force`.

    Returns
    -------
    list of dict
        One row as `rollback` returns it.

    Raises
    ------
    NotFound
        If there is no such version.
    InvalidInput
        If the version did not pass the gate, other code wrote its files, or the reason is missing.
    Unavailable
        If an import or a training job is running.
    """
    from training.promote import check_promotable
    from training.promote import promote as make_champion
    from training.registry import get_task
    from training.tracking import Tracker

    if force and not reason.strip():
        raise InvalidInput("--force needs a --reason, which is recorded.", field="reason")
    name = get_task(model).name
    with (
        job_lock(settings.home, "retrain"),
        progress_bar(f"promote {model} on {settings.dataset}") as progress,
    ):
        tracker = Tracker(settings.mlruns, settings.tracking_database)
        version = tracker.numbered(settings.dataset, name, number)
        replaced = tracker.champion(settings.dataset, name)
        check_promotable(version, replaced, force=force)
        gate = version.gate or "no challenge yet"
        words = f"forced against the gate ({gate})" if force else "by hand"
        make_champion(tracker, settings.dataset, version, f"{words}: {reason}".rstrip(": "))
        published = _publish(settings, tracker, progress)
    former = None if replaced is None else replaced.label
    row = {"model": name, "champion": version.label, "replaced": former, "published": published}
    return [row]


def rollback(
    settings: Settings, model: str, *, number: int | None = None, reason: str = ""
) -> list[dict[str, Any]]:
    """Make the former champion of a task, or of all tasks, the champion and publish it.

    Folders of a version on disk are reused, so this takes seconds.

    Parameters
    ----------
    model
        A task, or `all`: those that have a former champion.
    number
        Number of the version in the registry instead of the former champion.
    reason
        Recorded in the run of the version that is replaced.

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
                former, replaced = roll_back(tracker, settings.dataset, task.name, number, reason)
            except NotFound as error:
                if model != ALL:
                    raise
                missing = error
                continue
            rows.append({"model": task.name, "champion": former.label, "replaced": replaced.label})
        if missing is not None and not rows:
            raise missing
        version = _publish(settings, tracker, progress)
    return [row | {"published": version} for row in rows]


def _publish(settings: Settings, tracker: Tracker, progress: Progress) -> str | None:
    from training.publish import publish

    return publish(
        settings.home,
        tracker,
        settings.dataset,
        keep=settings.keep_versions,
        progress=progress,
    )
