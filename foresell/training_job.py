"""The job behind `foresell train`: publish each model as soon as it is trained, then evaluate all.

Interrupted at any point, it can be run again with `if_missing`: models that are published stay, and
those that are not evaluated yet are evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import narwhals as nw

from features.dataset import Dataset
from features.errors import MissingData
from features.storage.locks import job_lock
from foresell.failures import Failures
from foresell.jobs import (
    count_methods,
    dataset_of,
    set_up_tasks,
    tuned_params,
)
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.settings import Settings
from training.published.pending import announced

# Records with which further windows cost little beside the fits.
FEW_RECORDS = 100_000

if TYPE_CHECKING:
    from training.backtest import Progress
    from training.contract import Task
    from training.registered import Version
    from training.standing import Standing
    from training.task_setup import TaskSetup
    from training.tracking import Tracker


def train(
    settings: Settings,
    model: str,
    *,
    as_of: str | None = None,
    folds: int | None = None,
    grain: str | None = None,
    horizon: int | None = None,
    if_missing: bool = False,
    publish: bool = True,
    failures: Failures | None = None,
) -> list[dict[str, Any]]:
    """Train, promote and publish, then evaluate; returns one row per version that was worked on.

    Parameters
    ----------
    folds
        Rolling origins to evaluate on; 0 for no evaluation.
    if_missing
        Whether to keep champions that have the same records, instant and options; those without
        an evaluation are evaluated.
    publish
        Whether to publish; without it, the served version stays as it is.
    failures
        Gets the tasks whose training, publication or evaluation failed; the others go on.

    Raises
    ------
    MissingData
        If no task can be trained.
    Unavailable
        If another such job is running, or a customer is being forgotten.
    """
    from training.backtest import rolling_origins
    from training.tracking import Tracker

    failures = failures or Failures(settings.home, model)
    # A customer who is forgotten during training would be published again.
    with job_lock(settings.home, "retrain"), ThreadPoolExecutor() as pool:
        # A new store takes seconds, mostly of waiting for the disk.
        tracker = pool.submit(Tracker, settings.mlruns, settings.tracking_database)
        dataset = dataset_of(settings)
        end = dataset.instant(as_of)
        setups = set_up_tasks(
            settings,
            model,
            dataset,
            end,
            (settings.train_folds or _cheap_folds(dataset)) if folds is None else folds,
            exactly=(folds or 0) > settings.folds,
            grain=grain,
            horizon=horizon,
            failures=failures,
        )
        for setup in setups:
            # An instant that cannot be evaluated is refused before anything is trained.
            rolling_origins(dataset, setup.options, setup.folds, end)
        job = TrainingJob(settings, model, dataset, tracker.result(), end, failures, publish)
        return job.run(setups, if_missing=if_missing)


@dataclass
class TrainingJob:
    """What all steps of one job share.

    Attributes
    ----------
    settings, model
        Where things are stored, and the model that the user named, or `all`.
    dataset, tracker
        The records, and the store of runs.
    end
        Instant up to which records are used.
    failures
        The tasks that failed.
    publishes
        Whether models are published as soon as they are trained.
    """

    settings: Settings
    model: str
    dataset: Dataset
    tracker: Tracker
    end: datetime
    failures: Failures
    publishes: bool = True
    # The last group of tasks, and the dataset that caches its features.
    _cached: tuple[tuple[Task, ...], Dataset] | None = field(default=None, init=False, repr=False)

    def run(self, setups: Sequence[TaskSetup], *, if_missing: bool) -> list[dict[str, Any]]:
        """Train, publish and evaluate; returns one row per version that was worked on.

        Raises
        ------
        MissingData
            If no task can be trained.
        """
        versions = self.current(setups) if if_missing else {}
        if versions:
            # A former job may have been interrupted before it published them.
            self.publish(self.dataset)
        trained, published = self.publish_all(
            [setup for setup in setups if setup.task.name not in versions]
        )
        if not (versions or trained or self.failures.messages):
            raise MissingData(
                f"No model can be trained on dataset {self.dataset.name}; see above what each "
                "lacks.",
                field="dataset",
            )
        rows = self.evaluate_all([setup for setup in setups if setup.folds], versions | trained)
        if rows:
            # The models again, as links, with the words on each.
            self.publish(self.dataset, replaces=published)
        for name, version in trained.items():
            if name not in rows:
                console.print(f"[yellow]{version.standing.describe(version.label)}[/]")
        unjudged = {
            name: {"version": version.label, **_standing(version.standing)}
            for name, version in trained.items()
        }
        return list((unjudged | rows).values())

    def current(self, setups: Sequence[TaskSetup]) -> dict[str, Version]:
        """Return the champions with these records, this instant and the options of `setups`."""
        from training.promote import champions

        present = champions(self.tracker, self.dataset.name)
        current = {}
        for setup in setups:
            champion = present.get(setup.task.name)
            if champion and champion.matches(self.dataset.snapshot, self.end, setup.options):
                console.print(f"{setup.task.name}: {champion.label} is trained on these records")
                current[setup.task.name] = champion
        return current

    def publish(
        self,
        dataset: Dataset,
        step: Progress = lambda _: None,
        replaces: str | None = None,
        failed: Callable[[str, Exception], None] | None = None,
    ) -> str | None:
        """Publish the champions, if this job does; returns the name of the served version."""
        from training.publish import publish

        if not self.publishes:
            return None
        return publish(
            self.settings.home,
            self.tracker,
            dataset.name,
            keep=self.settings.keep_versions,
            replaces=replaces,
            opened=dataset,
            failed=failed or self.failures.add,
            progress=step,
        )

    def publish_all(self, setups: Sequence[TaskSetup]) -> tuple[dict[str, Version], str | None]:
        """Train and publish one model after another.

        Returns
        -------
        tuple of dict and str
            The versions by task, and the name of the published version; None without any.
        """
        versions: dict[str, Version] = {}
        unwritten = set()

        def failed(task: str, error: Exception) -> None:
            unwritten.add(task)
            self.failures.add(task, error)

        # The version that this job published before, which the next one replaces.
        published = None
        names = [setup.task.name for setup in setups]
        steps = (1 + self.publishes) * len(names)
        announcement = announced(self.settings.home, names, self.dataset.name)
        with (
            announcement if self.publishes else nullcontext(),
            self._progress("train", steps) as step,
        ):
            for dataset, group in self._by_group(setups):
                for setup in group:
                    task = setup.task.name
                    names.remove(task)
                    with self.failures.isolate(task):
                        version = self._fit(setup, dataset, step)
                        name = self.publish(dataset, step, published, failed)
                        if task in unwritten:
                            continue
                        versions[task], published = version, name
                        following = f"; next: {', '.join(names)}" if names else ""
                        done = "published" if self.publishes else "trained and not published"
                        console.print(f"[bold]{version.label} is {done}[/]{following}")
        return versions, published

    def evaluate_all(
        self, setups: Sequence[TaskSetup], versions: Mapping[str, Version]
    ) -> dict[str, dict[str, Any]]:
        """Backtest the versions that have no evaluation; returns their figures by task."""
        setups = [
            setup
            for setup in setups
            if setup.task.name in versions and not versions[setup.task.name].primary
        ]
        steps = sum(count_methods(setup.task) * setup.folds for setup in setups)
        rows = {}
        with self._progress("evaluate", steps) as step:
            # The last group that was trained comes first: its features are still in memory.
            for dataset, group in self._by_group(setups, reverse=True):
                for setup in group:
                    name = setup.task.name
                    with self.failures.isolate(name):
                        rows[name] = self._evaluate(setup, dataset, versions[name], step)
        return rows

    def _fit(self, setup: TaskSetup, dataset: Dataset, step: Progress) -> Version:
        """Train one task's model and make it the champion."""
        from training.promote import promote
        from training.train import train

        console.print(setup.describe())
        version = train(
            setup.task,
            dataset,
            self.tracker,
            as_of=self.end,
            options=setup.options,
            params=tuned_params(self.settings, setup, dataset, self.end),
            standing=setup.standing,
            threads=self.settings.threads,
            progress=step,
        )
        promote(self.tracker, dataset.name, version, "trained by hand, without the gate")
        return version

    def _evaluate(
        self, setup: TaskSetup, dataset: Dataset, version: Version, step: Progress
    ) -> dict[str, Any]:
        """Backtest a version; returns its figures beside those of the best baseline."""
        from training.backtest import FORESELL
        from training.standing import judge
        from training.train import evaluate

        started = time.process_time()
        report = evaluate(
            setup.task,
            dataset,
            self.tracker,
            version,
            folds=setup.folds,
            threads=self.settings.threads,
            progress=step,
        )
        best, standing = report.best_baseline(), judge(report)
        console.print(standing.describe(version.label), soft_wrap=True)
        return {
            "version": version.label,
            "metric": setup.task.primary,
            "foresell": report.primary(FORESELL),
            "best_baseline": best,
            "baseline": report.primary(best),
            "ratio": report.ratio(),
            "cpu_seconds": round(time.process_time() - started, 1),
            **_standing(standing),
        }

    def _by_group(
        self, setups: Sequence[TaskSetup], *, reverse: bool = False
    ) -> Iterator[tuple[Dataset, list[TaskSetup]]]:
        """Yield the setups of each group of tasks with a dataset that caches features for it.

        The cache of a group is dropped when the next group begins.
        """
        from training.registry import GROUPS

        for group in reversed(GROUPS) if reverse else GROUPS:
            members = [setup for setup in setups if setup.task in group]
            if members:
                if self._cached is None or self._cached[0] != group:
                    self._cached = group, replace(self.dataset, results={})
                yield self._cached[1], members

    @contextmanager
    def _progress(self, verb: str, steps: int) -> Iterator[Progress]:
        """Show the progress of a phase, if it has steps."""
        title = f"{verb} {self.model} on {self.dataset.name} as of {self.end.date()}"
        if not steps:
            yield lambda _: None
            return
        with progress_bar(title, steps) as step:
            yield step


def _cheap_folds(dataset: Dataset) -> int:
    """Return three windows where records are few, so that they are cheap, and else one."""
    records = dataset.table(dataset.records).select(nw.len()).collect().item()
    return 3 if records <= FEW_RECORDS else 1


def _standing(standing: Standing) -> dict[str, Any]:
    """Return how a version stands beside its baselines, as columns of its row."""
    return {
        "judged": standing.judged,
        "behind": list(standing.behind),
        "standing": standing.words,
    }
