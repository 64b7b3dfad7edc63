"""The job that runs by night: import what is new, train, gate, publish, report.

It can die at any point and be run again: imports are idempotent, a version is registered
whole or not at all, and what is served changes last.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from features.dataset import Dataset, open_dataset
from features.errors import MissingData, NotFound
from features.ingest.validation import ImportReport
from features.storage.locks import job_lock
from training.backtest import FORESELL, Progress, backtest, rolling_origins
from training.contract import Task, in_country
from training.promote import Verdict, gate, publish
from training.registry import TASKS
from training.task_setup import TaskSetup, set_up
from training.tracking import CHAMPION, Tracker, Version, code_version
from training.train import Trained, train
from training.tuning import best_params


@dataclass
class Outcome:
    """What the job did for one task: trained or not, promoted or not, and why."""

    task: str
    reason: str
    trained: bool = False
    promoted: bool = False
    version: str | None = None


@dataclass
class JobReport:
    """What the job did."""

    dataset: str
    snapshot: str
    published: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def retrain(
    home: Path,
    tracker: Tracker,
    name: str,
    bring_in: Callable[[], ImportReport],
    *,
    tasks: Iterable[Task] = tuple(TASKS.values()),
    folds: int = 3,
    threads: int = 1,
    keep: int = 2,
    country: str = "US",
    progress: Progress = lambda _: None,
) -> JobReport:
    """Import what is new, train what that changes, promote what is not worse, publish.

    Parameters
    ----------
    bring_in
        Imports the dataset's source again; what is known already changes nothing.
    tasks
        Whose models to train.
    folds, threads, keep
        Rolling origins of the backtest, threads of the numeric libraries, published versions
        to keep.
    country
        ISO code of the country whose public holidays move demand.

    Raises
    ------
    Unavailable
        If another such job runs.
    """
    with job_lock(home, "retrain"):
        progress(f"import {name}")
        bring_in()
        dataset = open_dataset(home, name)
        report = JobReport(name, dataset.snapshot)
        for task in tasks:
            try:
                setup = set_up(task, dataset, dataset.end, folds=folds)
                outcome = _challenge(setup, dataset, tracker, threads, country, progress)
            except MissingData as lacking:
                outcome = Outcome(task.name, lacking.message)
            report.outcomes.append(outcome)
        report.published = publish(
            home, tracker, name, keep=keep, opened=dataset, progress=progress
        )
    return report


def _challenge(
    setup: TaskSetup,
    dataset: Dataset,
    tracker: Tracker,
    threads: int,
    country: str,
    progress: Progress,
) -> Outcome:
    """Train a challenger where anything changed since the champion, and judge between them."""
    task, options = setup.task, setup.options
    origins = rolling_origins(dataset, options["horizon_days"], setup.folds, dataset.end)
    params = best_params(tracker.mlruns, dataset, task, options, origins[0])
    params |= in_country(task, country)
    try:
        champion = tracker.version(dataset.name, task.name, CHAMPION)
    except NotFound:
        champion = None
    if champion is not None and _same(champion, dataset, options, params):
        return Outcome(task.name, "nothing changed since the champion", version=champion.label)
    trained = train(
        task,
        dataset,
        tracker,
        folds=setup.folds,
        options=options,
        params=params,
        threads=threads,
        progress=progress,
    )
    if champion is None:
        verdict = Verdict(promoted=True, reason="there was no champion")
    else:
        verdict = gate(
            task, _by_fold(trained), _refitted(task, dataset, champion, trained, origins, threads)
        )
    if verdict.promoted:
        tracker.set_alias(dataset.name, task.name, CHAMPION, trained.version.number)
    return Outcome(
        task.name,
        verdict.reason,
        trained=True,
        promoted=verdict.promoted,
        version=trained.version.label,
    )


def _same(
    champion: Version, dataset: Dataset, options: dict[str, Any], params: dict[str, Any]
) -> bool:
    was = (champion.snapshot, champion.as_of, champion.options, champion.params, champion.code)
    return was == (dataset.snapshot, dataset.end, options, params, code_version())


def _by_fold(trained: Trained) -> list[float]:
    assert trained.report is not None, "a challenger is always judged"  # noqa: S101
    return trained.report.by_fold(FORESELL)


def _refitted(
    task: Task,
    dataset: Dataset,
    champion: Version,
    trained: Trained,
    origins: list[datetime],
    threads: int,
) -> list[float]:
    """Judge the champion's recipe on the challenger's folds."""
    if (champion.options, champion.params) == (trained.version.options, trained.version.params):
        return _by_fold(trained)
    report = backtest(
        task,
        dataset,
        origins,
        trained.version.options,
        params={**champion.params, "threads": threads},
        baselines=(),
    )
    return report.by_fold(FORESELL)
