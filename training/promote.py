"""Make versions champions, and take it back; `retraining/gate.py` decides for the nightly job.

`publish.py` writes the champions for serving.
"""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from features.errors import InvalidInput, NotFound
from training.published.versions import FORMAT
from training.registered import CHAMPION, PASSED, PREVIOUS, ROLLED_BACK, Registry, Version
from training.registry import TASKS

if TYPE_CHECKING:
    from training.tracking import Tracker


def champions(registry: Registry, dataset: str) -> dict[str, Version]:
    """Return the champions of a dataset by task; tasks without one are left out."""
    versions = {name: registry.champion(dataset, name) for name in TASKS}
    return {name: version for name, version in versions.items() if version is not None}


def promote(tracker: "Tracker", dataset: str, version: Version, reason: str) -> None:
    """Make a version the champion of its task, and record the reason in its run."""
    former = tracker.champion(dataset, version.task)
    recorded = f"{datetime.now():%Y-%m-%d %H:%M}: {reason}"
    tracker.tag(version.run_id, {"promoted": recorded, ROLLED_BACK: ""})
    if former is not None and former.number != version.number:
        tracker.set_alias(dataset, version.task, PREVIOUS, former.number)
    tracker.set_alias(dataset, version.task, CHAMPION, version.number)


def check_promotable(version: Version, champion: Version | None, *, force: bool) -> None:
    """Check that a version may become the champion by hand.

    Raises
    ------
    InvalidInput
        If it is the champion already, other code wrote its files, or, without `force`, it did not
        pass the gate.
    """
    name = f"{version.task} {version.number}"
    if champion is not None and champion.number == version.number:
        raise InvalidInput(
            f"{version.label} is the champion already; name another version.", field="version"
        )
    _check_format(version, "version")
    if not (force or version.gate.startswith(PASSED)):
        verdict = version.gate or "no challenge yet"
        raise InvalidInput(
            f"{version.label} did not pass the gate ({verdict}); to promote it all the same: "
            f'`foresell promote {name} --force --reason "..."`.',
            field="version",
        )


def _check_format(version: Version, field: str) -> None:
    if version.format != FORMAT:
        raise InvalidInput(
            f"{version.label} was written by another version of Foresell, in other files; train "
            f"instead: `foresell train {version.task}`.",
            field=field,
        )


def roll_back(
    tracker: "Tracker", dataset: str, task: str, number: int | None = None, reason: str = ""
) -> tuple[Version, Version]:
    """Make the champion before the present one the champion again, or a version by its number.

    The runs of both record it, so that the nightly job does not promote the replaced one again.

    Returns
    -------
    tuple
        The new champion and the replaced one.

    Raises
    ------
    NotFound
        If there is no champion, no former one, or no version of the number.
    InvalidInput
        If the version is the champion already, or other code wrote its files.
    """
    replaced = tracker.version(dataset, task, CHAMPION)
    if number is None:
        try:
            former = tracker.version(dataset, task, PREVIOUS)
        except NotFound:
            raise NotFound(
                f"There was no champion of {task} on dataset {dataset} before {replaced.label}; "
                "name a version with --to.",
                field="to",
            ) from None
    else:
        former = tracker.numbered(dataset, task, number)
    if former.number == replaced.number:
        raise InvalidInput(
            f"{former.label} is the champion already; name another version with --to.", field="to"
        )
    _check_format(former, "to")
    instead = f"{datetime.now():%Y-%m-%d %H:%M}"
    because = f": {reason}" if reason else ""
    tracker.tag(replaced.run_id, {ROLLED_BACK: f"{instead} by {former.label}{because}"})
    tracker.tag(
        former.run_id, {"promoted": f"{instead}: in place of {replaced.label}", ROLLED_BACK: ""}
    )
    tracker.set_alias(dataset, task, CHAMPION, former.number)
    with suppress(NotFound):
        tracker.version(dataset, task, PREVIOUS)
        tracker.remove_alias(dataset, task, PREVIOUS)
    return former, replaced


def retire(tracker: "Tracker", dataset: str) -> None:
    """Take the alias `champion` from all models of a dataset; the models stay registered."""
    for task in champions(tracker, dataset):
        tracker.remove_alias(dataset, task, CHAMPION)
