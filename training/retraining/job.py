"""The nightly job: import new records, train, promote through the gate, publish and report.

It may die at any point and be run again: imports are idempotent, a version is registered
completely or not at all, and the served version changes last, after the gate. The output of each
step is kept by the digest of its inputs: the snapshot of the import, registered versions of the
fits, backtests as files, and refusals of the gate.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.dataset import Dataset, open_dataset
from features.errors import ForesellError, MissingData, Unavailable
from features.faults import record_failure
from features.ingest.health import read_health
from features.ingest.provenance import note_unchanged
from features.storage.kept import digest, recall, remember, sources_digest
from features.storage.locks import job_lock
from features.storage.snapshots import dataset_folder, list_datasets, read_head
from training.backtest import Progress
from training.contract import Task
from training.monitoring.job import keep_predictions, monitor
from training.promote import champions
from training.publish import publish, published_champions
from training.registered import Registry
from training.registry import GROUPS, TASKS
from training.retraining.challenge import Challenge, Place
from training.retraining.folder import retraining_folder
from training.retraining.report import JobReport, Outcome, page, write_report
from training.task_setup import set_up

if TYPE_CHECKING:
    from training.tracking import Tracker

_OPTUNA = "optuna.db"


@dataclass
class Job:
    """One run of the nightly job.

    Attributes
    ----------
    home, registry, name
        The home, the store of registered versions, and the dataset.
    import_records
        Imports the dataset's source again; known records change nothing.
    source
        Digest of the dataset's source; the import is left out while it is as it was. None if
        it cannot be known without reading the source.
    tasks
        Tasks to train; one that fails does not stop the others.
    folds, threads, keep
        Rolling origins, threads of the numeric libraries, published versions to keep.
    country, explain_attributes
        As for `training.task_setup.set_up`.
    max_bad_share
        Share of failing rows above which a file is reported.
    progress
        Called with a description of each step.
    """

    home: Path
    registry: Registry
    name: str
    import_records: Callable[[], object]
    source: str | None = None
    tasks: Iterable[Task] = tuple(TASKS.values())
    folds: int = 3
    threads: int = 1
    keep: int = 2
    country: str | None = None
    explain_attributes: bool = False
    max_bad_share: float = 0.05
    progress: Progress = lambda _: None
    report: JobReport = field(init=False)

    def __post_init__(self) -> None:
        self.report = JobReport(self.name)

    @cached_property
    def tracker(self) -> "Tracker":
        """The store for writing, whose import takes longer than a night without new records."""
        from training.tracking import Tracker

        if isinstance(self.registry, Tracker):
            return self.registry
        return Tracker(self.registry.mlruns, self.registry.url)

    def run(self) -> JobReport:
        """Run all steps; what fails is in the report.

        Raises
        ------
        Unavailable
            If another such job is running.
        """
        lock = self.registry.exclusive(f"retrain {self.name}")
        with job_lock(self.home, "retrain"), lock:
            try:
                with self.report.step("import") as step:
                    step.kept = self._import()
            except Unavailable:
                raise
            except ForesellError as error:
                self.report.import_failure = error.message
                self._write()
                return self.report
            with self.report.step("validate"):
                dataset = open_dataset(self.home, self.name)
                self.report.snapshot = dataset.snapshot
                self.report.imports = read_health(self.home, self.name, self.max_bad_share)
            with self.report.step("monitor") as step, self._isolate("monitoring"):
                step.kept = self._monitor(dataset)
            for task, shared in self._by_group(dataset):
                self.report.outcomes.append(self._attempt(task, shared))
            with self.report.step("publish") as step:
                step.kept = self._publish(dataset)
            with self.report.step("keep predictions"), self._isolate("monitoring"):
                keep_predictions(self.home, self.registry, dataset, self.tasks, self.progress)
            self._write()
        return self.report

    def plan(self) -> list[dict[str, str]]:
        """Return what `run` would do with the records that are imported; it changes nothing."""
        unchanged = self._import_is_kept()
        rows = [
            {"step": "import", "action": "nothing" if unchanged else "import"}
            | {"reason": "the source is as it was" if unchanged else "the source may have changed"}
        ]
        if self.name not in list_datasets(self.home):
            return rows
        dataset = open_dataset(self.home, self.name)
        for task, shared in self._by_group(dataset):
            try:
                action, reason = self._challenge(task, shared).plan()
            except ForesellError as error:
                action, reason = "nothing", error.message
            rows.append({"step": task.name, "action": action, "reason": reason})
        if published_champions(self.home, self.registry, self.name) is None:
            reason = "the champions are not served"
            return [*rows, {"step": "publish", "action": "publish", "reason": reason}]
        reason = "the champions are served; those that are promoted follow"
        return [*rows, {"step": "publish", "action": "nothing", "reason": reason}]

    @property
    def _folder(self) -> Path:
        return retraining_folder(self.home, self.name)

    def _import_is_kept(self) -> bool:
        if self.source is None or self.name not in list_datasets(self.home):
            return False
        snapshot = recall(self._folder, "import", self.source)
        return bool(snapshot == read_head(dataset_folder(self.home, self.name)))

    def _import(self) -> bool:
        """Import, unless the source is as it was at the last import; returns whether it is."""
        if self._import_is_kept():
            note_unchanged(self.home, self.name)
            return True
        self.progress(f"import {self.name}")
        self.import_records()
        if self.source is not None:
            head = read_head(dataset_folder(self.home, self.name))
            remember(self._folder, "import", self.source, head)
        return False

    def _by_group(self, dataset: Dataset) -> Iterator[tuple[Task, Dataset]]:
        """Yield the tasks, each with a dataset that caches the features of its group alone."""
        wanted = {task.name: task for task in self.tasks}
        for group in GROUPS:
            shared = replace(dataset, results={})
            yield from ((wanted[task.name], shared) for task in group if task.name in wanted)

    def _challenge(self, task: Task, dataset: Dataset) -> Challenge:
        setup = set_up(
            task,
            dataset,
            dataset.end,
            folds=self.folds,
            country=self.country,
            explain_attributes=self.explain_attributes,
        )
        place = Place(
            self.home, self.registry, lambda: self.tracker, self.threads, self.report, self.progress
        )
        return Challenge(place, setup, dataset, partial(self._tuned, dataset, task, setup.options))

    def _tuned(
        self, dataset: Dataset, task: Task, options: dict[str, Any], before: Any
    ) -> dict[str, Any]:
        mlruns = self.registry.mlruns
        if not (mlruns / _OPTUNA).exists():
            return {}
        from training.tuning import best_params  # Optuna is slow to import

        return best_params(mlruns, dataset, task, options, before)

    def _attempt(self, task: Task, dataset: Dataset) -> Outcome:
        """Challenge the champion of a task; whatever goes wrong is the outcome."""
        try:
            return self._challenge(task, dataset).run()
        except MissingData as error:
            return Outcome(task.name, error.message)
        except Exception as error:
            return self._failure(task.name, error)

    @contextmanager
    def _isolate(self, step: str) -> Iterator[None]:
        """Report what goes wrong in a step that no model waits for, and go on."""
        try:
            yield
        except Exception as error:
            self.report.replace(self._failure(step, error))

    def _failure(self, task: str, error: Exception) -> Outcome:
        return Outcome(task, f"failed: {record_failure(self.home, task, error)}", failed=True)

    def _publish(self, dataset: Dataset) -> bool:
        """Publish the champions; returns whether the served version has them already."""
        if not champions(self.registry, self.name):
            return False
        current = published_champions(self.home, self.registry, self.name)
        self.report.published = current or publish(
            self.home,
            self.tracker,
            self.name,
            keep=self.keep,
            opened=dataset,
            failed=lambda task, error: self.report.replace(self._failure(task, error)),
            progress=self.progress,
        )
        return current is not None

    def _monitor(self, dataset: Dataset) -> bool:
        """Check records and realised quality; returns whether these records were checked before."""
        inputs = digest(dataset.snapshot, sources_digest("training/monitoring/*.py"))
        if recall(self._folder, "monitor", inputs):
            return True
        tasks, progress = self.tasks, self.progress
        monitor(self.home, self.registry, lambda: self.tracker, dataset, tasks, progress)
        remember(self._folder, "monitor", inputs, value=True)
        return False

    def _write(self) -> None:
        """Write the report below the home, and log it where the job changed anything."""
        if any(outcome.trained or outcome.promoted for outcome in self.report.outcomes):
            tags = {"dataset": self.name, "snapshot": self.report.snapshot or ""}
            with self.tracker.run("retrain", f"retrain {self.name}", tags):
                self.tracker.log_document("report", self.report.to_json())
                self.tracker.log_page("report", page(self.report))
        write_report(self._folder / "reports", self.report)
