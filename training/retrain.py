"""The nightly job: import new records, train, promote through the gate, publish and report.

It may die at any point and be run again: imports are idempotent, a version is registered
completely or not at all, and the served version changes last, after the gate.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from features.dataset import Dataset, open_dataset
from features.errors import MissingData
from features.faults import record_failure
from features.ingest.health import ImportHealth, read_health
from features.ingest.report import ImportReport
from features.storage.locks import job_lock
from training.backtest import Progress, rolling_origins
from training.contract import Task
from training.promote import champions, promote
from training.publish import publish
from training.registered import Version
from training.registry import TASKS
from training.standing import judge
from training.task_setup import TaskSetup, set_up
from training.tracking import Tracker, code_version
from training.train import evaluate, train
from training.tuning import best_params


@dataclass
class Outcome:
    """What the job did for one task: whether it trained and promoted a model, and the reason.

    With `failed`, the reason is an error, and the former champion stays.
    """

    task: str
    reason: str
    trained: bool = False
    promoted: bool = False
    failed: bool = False
    version: str | None = None
    judged: bool = False
    behind: tuple[str, ...] = ()


@dataclass
class JobReport:
    """The health of the import, what the job did for each task, and the version it published."""

    dataset: str
    snapshot: str
    imports: ImportHealth
    published: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def replace(self, outcome: Outcome) -> None:
        """Put an outcome in the place of the task's former one."""
        others = [other for other in self.outcomes if other.task != outcome.task]
        self.outcomes = [*others, outcome]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def retrain(
    home: Path,
    tracker: Tracker,
    name: str,
    import_records: Callable[[], ImportReport],
    *,
    tasks: Iterable[Task] = tuple(TASKS.values()),
    folds: int = 3,
    threads: int = 1,
    keep: int = 2,
    country: str | None = None,
    explain_attributes: bool = False,
    max_bad_share: float = 0.05,
    progress: Progress = lambda _: None,
) -> JobReport:
    """Import new records, train models that they change, promote those not worse, and publish.

    Parameters
    ----------
    import_records
        Imports the dataset's source again; known records change nothing.
    tasks
        Tasks to train; one that fails does not stop the others.
    folds, threads, keep
        Rolling origins, threads of the numeric libraries, published versions to keep.
    country, explain_attributes
        As for `training.task_setup.set_up`.
    max_bad_share
        Share of failing rows above which a file is reported.

    Raises
    ------
    Unavailable
        If another such job is running.
    MissingData
        If there is no champion and no model can be trained.
    """
    with job_lock(home, "retrain"):
        progress(f"import {name}")
        import_records()
        dataset = open_dataset(home, name)
        report = JobReport(name, dataset.snapshot, read_health(home, name, max_bad_share))
        setup = partial(set_up, folds=folds, country=country, explain_attributes=explain_attributes)
        for task in tasks:
            done = _attempt(setup, task, dataset, home, tracker, threads, progress)
            report.outcomes.append(done)
        if champions(tracker, name):
            report.published = publish(
                home,
                tracker,
                name,
                keep=keep,
                opened=dataset,
                failed=lambda task, error: report.replace(_failure(home, task, error)),
                progress=progress,
            )
        elif not any(outcome.failed for outcome in report.outcomes):
            raise _nothing_to_publish(report)
    return report


def _nothing_to_publish(report: JobReport) -> MissingData:
    reasons = "; ".join(f"{outcome.task}: {outcome.reason}" for outcome in report.outcomes)
    return MissingData(
        f"Dataset {report.dataset} has no model to publish. {reasons}", field="orders"
    )


def _attempt(
    prepare: Callable[[Task, Dataset, datetime], TaskSetup],
    task: Task,
    dataset: Dataset,
    home: Path,
    tracker: Tracker,
    threads: int,
    progress: Progress,
) -> Outcome:
    """Challenge the champion of a task; whatever goes wrong is the outcome."""
    try:
        setup = prepare(task, dataset, dataset.end)
        return _challenge(setup, dataset, tracker, threads, progress)
    except MissingData as error:
        return Outcome(task.name, error.message)
    except Exception as error:
        return _failure(home, task.name, error)


def _failure(home: Path, task: str, error: Exception) -> Outcome:
    return Outcome(task, f"failed: {record_failure(home, task, error)}", failed=True)


def _challenge(
    setup: TaskSetup, dataset: Dataset, tracker: Tracker, threads: int, progress: Progress
) -> Outcome:
    """Train a challenger if anything changed since the champion, and pass it through the gate."""
    task, options = setup.task, setup.options
    origins = rolling_origins(dataset, options, setup.folds, dataset.end)
    before = min(origins, default=dataset.end)
    params = setup.params | best_params(tracker.mlruns, dataset, task, options, before)
    champion = tracker.champion(dataset.name, task.name)
    if champion is not None and _unchanged(champion, dataset, options, params):
        return Outcome(task.name, "nothing changed since the champion", version=champion.label)
    version = train(
        task,
        dataset,
        tracker,
        options=options,
        params=params,
        standing=setup.standing,
        threads=threads,
        progress=progress,
    )
    report = None
    if setup.folds:
        # Nothing is published before the gate, which needs the backtest.
        report = evaluate(
            task,
            dataset,
            tracker,
            version,
            folds=setup.folds,
            threads=threads,
            progress=progress,
        )
    verdict = promote(task, dataset, tracker, version, report=report, threads=threads)
    standing = setup.standing if report is None else judge(report)
    return Outcome(
        task.name,
        f"{verdict.reason}; {standing.words}",
        judged=standing.judged,
        behind=standing.behind,
        trained=True,
        promoted=verdict.promoted,
        version=version.label,
    )


def _unchanged(
    champion: Version, dataset: Dataset, options: dict[str, Any], params: dict[str, Any]
) -> bool:
    """Return whether training now would repeat the champion's training."""
    return champion.matches(dataset.snapshot, dataset.end, options) and (
        champion.params,
        champion.code,
    ) == (params, code_version())
