"""Promote a trained version to champion, with or without a gate that compares it with the former.

`publish.py` writes the champions for serving.
"""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from training.backtest import FORESELL, Report, backtest
from training.contract import Task
from training.published.versions import FORMAT
from training.registered import CHAMPION, PREVIOUS, Registry, Version
from training.registry import TASKS
from training.tracking import Tracker


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes the champion, and the reason."""

    promoted: bool
    reason: str


def champions(registry: Registry, dataset: str) -> dict[str, Version]:
    """Return the champions of a dataset by task; tasks without one are left out."""
    versions = {name: registry.champion(dataset, name) for name in TASKS}
    return {name: version for name, version in versions.items() if version is not None}


def promote(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    version: Version,
    *,
    report: Report | None = None,
    threads: int = 1,
) -> Verdict:
    """Make a version the champion of its task, unless the gate refuses it.

    Parameters
    ----------
    report
        Backtest of the version, for the gate: it must not be worse than the champion beyond
        noise. Without one there is no gate.
    threads
        Threads of the numeric libraries, for evaluating the champion's options again.
    """
    champion = tracker.champion(dataset.name, task.name) if report is not None else None
    if report is None:
        verdict = Verdict(promoted=True, reason="promoted without comparison")
    elif champion is None:
        verdict = Verdict(promoted=True, reason="there was no champion")
    else:
        verdict = _compare(task, dataset, champion, version, report, threads)
    if verdict.promoted:
        former = champion or tracker.champion(dataset.name, task.name)
        if former is not None and former.number != version.number:
            tracker.set_alias(dataset.name, task.name, PREVIOUS, former.number)
        tracker.set_alias(dataset.name, task.name, CHAMPION, version.number)
    return verdict


def roll_back(
    tracker: Tracker, dataset: str, task: str, number: int | None = None
) -> tuple[Version, Version]:
    """Make the champion before the present one the champion again, or a version by its number.

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
    if former.format != FORMAT:
        raise InvalidInput(
            f"{former.label} was written by another version of Foresell, in other files; train "
            f"instead: `foresell train {task} --dataset {dataset}`.",
            field="to",
        )
    tracker.set_alias(dataset, task, CHAMPION, former.number)
    with suppress(NotFound):
        tracker.version(dataset, task, PREVIOUS)
        tracker.remove_alias(dataset, task, PREVIOUS)
    return former, replaced


def retire(tracker: Tracker, dataset: str) -> None:
    """Take the alias `champion` from all models of a dataset; the models stay registered."""
    for task in champions(tracker, dataset):
        tracker.remove_alias(dataset, task, CHAMPION)


def gate(task: Task, challenger: Sequence[float], champion: Sequence[float]) -> Verdict:
    """Promote the challenger unless it is worse than the champion beyond noise.

    Parameters
    ----------
    challenger, champion
        Primary metric of both on the same folds in the same order. Without folds the champion
        stays.

    Notes
    -----
    Noise is the standard error of the mean paired difference over folds.
    """
    sign = 1 if task.lower_is_better else -1
    loss = [sign * (new - old) for new, old in zip(challenger, champion, strict=True)]
    if not loss:
        return Verdict(promoted=False, reason=f"no fold has a {task.primary} to compare by")
    mean = statistics.fmean(loss)
    noise = statistics.stdev(loss) / math.sqrt(len(loss)) if len(loss) > 1 else 0.0
    figures = (
        f"mean {task.primary} {statistics.fmean(challenger):.4f} against the champion's "
        f"{statistics.fmean(champion):.4f}, noise {noise:.4f}"
    )
    if mean > noise:
        return Verdict(promoted=False, reason=f"worse beyond noise: {figures}")
    return Verdict(promoted=True, reason=f"not worse: {figures}")


def _compare(
    task: Task,
    dataset: Dataset,
    champion: Version,
    version: Version,
    report: Report,
    threads: int,
) -> Verdict:
    """Refit the champion's options on the folds of the version's backtest and apply the gate."""
    challenger = report.by_fold(FORESELL)
    if (champion.options, champion.params) == (version.options, version.params):
        return gate(task, challenger, challenger)
    former = backtest(
        task,
        dataset,
        report.origins,
        version.options,
        params={**champion.params, "threads": threads},
        baselines=(),
    )
    return gate(task, challenger, former.by_fold(FORESELL))
