"""Champion against challenger, and the publishing of what is served."""

import math
import os
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.dataset import Dataset, open_dataset
from features.errors import NotFound
from training.backtest import Progress
from training.contract import Task
from training.published import versions as published
from training.redaction import Withheld
from training.registry import TASKS
from training.release import name_of, put_up, sweep
from training.tracking import CHAMPION, Tracker, Version


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger takes the champion's place, and why."""

    promoted: bool
    reason: str


def gate(task: Task, challenger: Sequence[float], champion: Sequence[float]) -> Verdict:
    """Let the challenger through unless it is worse than the champion beyond noise.

    Parameters
    ----------
    challenger, champion
        The primary metric of both on the same folds, in the same order; where there is none,
        the champion stays.

    Notes
    -----
    Noise is the standard error of the paired differences over folds: what differs by less
    than that on average could as well have come out the other way.
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


def champions(tracker: Tracker, dataset: str) -> dict[str, Version]:
    """Champions of a dataset by task; tasks without one are left out."""
    found = {}
    for name in TASKS:
        try:
            found[name] = tracker.version(dataset, name, CHAMPION)
        except NotFound:
            continue
    return found


def publish(
    home: Path,
    tracker: Tracker,
    dataset: str,
    *,
    keep: int = 2,
    opened: Dataset | None = None,
    progress: Progress = lambda _: None,
) -> str:
    """Write what serving reads from the dataset's champions and make it current.

    The new version is complete on disk before the manifest names it; a crash at any point
    leaves the former one served. Models that did not change are linked, not made again.

    Parameters
    ----------
    keep
        Published versions to keep.
    opened
        The dataset as its models were trained on it: what was derived from it then is not
        derived again. Versions of other snapshots open theirs.

    Returns
    -------
    str
        The version's name; the same champions give the same name.

    Raises
    ------
    NotFound
        If the dataset has no champion yet.
    """
    models = champions(tracker, dataset)
    if not models:
        raise NotFound(
            f"Dataset {dataset} has no champion to publish; run "
            f"`foresell train all --dataset {dataset}`.",
            field="dataset",
        )
    served = {
        name: published.PublishedModel(
            version=version.label,
            run_id=version.run_id,
            snapshot=version.snapshot,
            as_of=version.as_of,
        )
        for name, version in models.items()
    }
    name = name_of(served, Withheld.of(home, dataset))
    # A version that cannot be read is none: it is made again.
    current, record = published.served(home) or (None, None)
    if current is not None and current.name == name:
        return name
    sweep(published.root(home))
    draft = published.root(home) / f".{name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    snapshots = {} if opened is None else {opened.snapshot: opened}
    for task, version in models.items():
        progress(f"publish {version.label}")
        before = record.models.get(task) if record is not None else None
        companions = TASKS[task].companions
        folders = [draft / name for name in (task, *companions)]
        if current is not None and before == served[task]:
            for folder in folders:
                shutil.copytree(current / folder.name, folder, copy_function=os.link)
            continue
        for folder in folders:
            folder.mkdir()
        if version.snapshot not in snapshots:
            snapshots[version.snapshot] = open_dataset(home, dataset, version.snapshot)
        records = snapshots[version.snapshot]
        TASKS[task].publish(
            TASKS[task].model.load(version.folder), records, version.as_of, draft / task
        )
        for name, companion in companions.items():
            companion.publish(records, version.as_of, draft / name)
    # Read again: to publish takes its time, and someone may have asked to be forgotten.
    withheld = Withheld.of(home, dataset)
    put_up(home, draft, dataset, served, withheld)
    published.prune(home, keep)
    return name_of(served, withheld)
