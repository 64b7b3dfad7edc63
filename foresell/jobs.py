"""Functions behind the commands: open what the settings name, run one package, return results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.calendar import day_start, to_day
from features.dataset import Dataset, open_dataset
from features.errors import MissingData
from features.storage.locks import job_lock
from foresell import importing as imports
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.settings import Settings
from training.published import versions as published

if TYPE_CHECKING:
    from training.backtest import Progress, Report
    from training.contract import Task
    from training.retrain import JobReport
    from training.task_setup import TaskSetup
    from training.tracking import Tracker, Version


def dataset_of(settings: Settings) -> Dataset:
    """Open the dataset that the settings name."""
    return open_dataset(settings.home, settings.dataset)


def evaluate(
    settings: Settings,
    model: str,
    *,
    folds: int | None = None,
    as_of: str | None = None,
    grain: str | None = None,
    horizon: int | None = None,
) -> list[Report]:
    """Backtest one task, or all that the dataset supports."""
    from training import backtest

    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    reports = []
    setups = set_up_tasks(
        settings,
        model,
        dataset,
        end,
        folds or settings.folds,
        # Only a number of folds beyond the default was certainly chosen on purpose.
        exactly=(folds or 0) > settings.folds,
        grain=grain,
        horizon=horizon,
    )
    steps = sum(_methods(setup.task) * setup.folds for setup in setups)
    with progress_bar(f"evaluate {model} on {dataset.name}", steps) as progress:
        for setup in setups:
            console.print(setup.describe())
            params = tuned_params(settings, setup, dataset, end)
            with _skip_unless_named(model, setup.task):
                report = backtest.evaluate(
                    setup.task,
                    dataset,
                    setup.folds,
                    as_of=end,
                    options=setup.options,
                    params={**params, "threads": settings.threads},
                    progress=progress,
                )
                # Raises if no fold has the primary metric, by which methods are ranked.
                report.primary(backtest.FORESELL)
                reports.append(report)
    return reports


def set_up_tasks(
    settings: Settings,
    model: str,
    dataset: Dataset,
    end: datetime,
    folds: int,
    *,
    exactly: bool = False,
    grain: str | None = None,
    horizon: int | None = None,
) -> list[TaskSetup]:
    """Set up one task, or all that the dataset supports.

    Raises
    ------
    MissingData
        If a single task cannot run.
    """
    from training.registry import select_tasks
    from training.task_setup import set_up

    setups = []
    for task in select_tasks(model):
        with _skip_unless_named(model, task):
            setup = set_up(
                task,
                dataset,
                end,
                folds=folds,
                exactly=exactly,
                grain=grain,
                horizon_days=horizon,
                country=settings.country,
            )
            setups.append(setup)
    return setups


@contextmanager
def _skip_unless_named(model: str, task: Task) -> Iterator[None]:
    """With `all`, report what a task lacks and continue with the next; else raise."""
    try:
        yield
    except MissingData as error:
        if model != "all":
            raise
        console.print(f"[yellow]{task.name} is left out: {error.message}[/]")


def _methods(task: Task) -> int:
    """Count the methods in each fold of a backtest: the model and its baselines."""
    return 1 + len(task.baselines)


def tuned_params(
    settings: Settings, setup: TaskSetup, dataset: Dataset, end: datetime
) -> dict[str, Any]:
    """Return the tuned options of a model, tuned before the folds that end at `end`."""
    from training.backtest import rolling_origins
    from training.tuning import best_params

    # Batches may be scored within a day, while origins are starts of days.
    midnight = day_start(to_day(end))
    first, *_ = rolling_origins(dataset, setup.options["horizon_days"], setup.folds, midnight)
    return best_params(settings.mlruns, dataset, setup.task, setup.options, first)


def train(
    settings: Settings,
    model: str,
    *,
    as_of: str | None = None,
    folds: int | None = None,
    grain: str | None = None,
    horizon: int | None = None,
    if_missing: bool = False,
) -> list[dict[str, Any]]:
    """Train, promote and publish; returns one row of figures per trained task.

    Parameters
    ----------
    if_missing
        Whether to skip tasks whose champion has the same records, instant and options.

    Raises
    ------
    Unavailable
        If another such job is running, or a customer is being forgotten.
    """
    from training.promote import champions
    from training.publish import publish
    from training.tracking import Tracker

    # A customer who is forgotten during training would be published again.
    with job_lock(settings.home, "retrain"):
        dataset = dataset_of(settings)
        end = dataset.instant(as_of)
        tracker = Tracker(settings.mlruns)
        setups = set_up_tasks(
            settings,
            model,
            dataset,
            end,
            folds or settings.train_folds,
            exactly=(folds or 0) > settings.folds,
            grain=grain,
            horizon=horizon,
        )
        if if_missing:
            present = champions(tracker, dataset.name)
            setups = [setup for setup in setups if not _is_current(present, setup, dataset, end)]
        # For each task its backtest, its final fit and its publishing.
        steps = sum(_methods(setup.task) * setup.folds + 2 for setup in setups)
        title = f"train {model} on {dataset.name} as of {end.date()}"
        with progress_bar(title, steps) as progress:
            rows = []
            for setup in setups:
                console.print(setup.describe())
                with _skip_unless_named(model, setup.task):
                    rows.append(_train(settings, dataset, tracker, setup, end, progress))
            keep = settings.keep_versions
            publish(
                settings.home, tracker, dataset.name, keep=keep, opened=dataset, progress=progress
            )
    return rows


def _is_current(
    present: Mapping[str, Version], setup: TaskSetup, dataset: Dataset, end: datetime
) -> bool:
    """Return whether a champion has these records, instant and options; print it if so."""
    champion = present.get(setup.task.name)
    if champion is None or not champion.matches(dataset.snapshot, end, setup.options):
        return False
    console.print(f"{setup.task.name}: {champion.label} is trained on these records already")
    return True


def _train(
    settings: Settings,
    dataset: Dataset,
    tracker: Tracker,
    setup: TaskSetup,
    end: datetime,
    progress: Progress,
) -> dict[str, Any]:
    """Train one task's model and make it the champion."""
    from training import train as training
    from training.promote import promote

    started = time.process_time()
    trained = training.train(
        setup.task,
        dataset,
        tracker,
        as_of=end,
        folds=setup.folds,
        options=setup.options,
        params=tuned_params(settings, setup, dataset, end),
        threads=settings.threads,
        progress=progress,
    )
    promote(setup.task, dataset, tracker, trained, gated=False)
    return _figures(trained.version.label, trained.report, time.process_time() - started)


def _figures(version: str, report: Report | None, seconds: float) -> dict[str, Any]:
    from training.backtest import FORESELL

    if report is None:
        return {"version": version}
    best = report.best_baseline()
    return {
        "version": version,
        "metric": report.task.primary,
        "foresell": report.primary(FORESELL),
        "best_baseline": best,
        "baseline": report.primary(best),
        "ratio": report.ratio(),
        "cpu_seconds": round(seconds, 1),
    }


def tune(settings: Settings, model: str, *, trials: int) -> list[dict[str, Any]]:
    """Add trials to the studies; returns one row per task."""
    from training import tuning
    from training.tracking import Tracker

    dataset = dataset_of(settings)
    tracker = Tracker(settings.mlruns)
    rows = []
    setups = set_up_tasks(settings, model, dataset, dataset.end, settings.folds)
    title = f"tune {model} on {dataset.name}"
    with progress_bar(title, steps=trials * len(setups)) as progress:
        for task in (setup.task for setup in setups):
            with _skip_unless_named(model, task):
                study = tuning.tune(
                    task,
                    dataset,
                    tracker,
                    trials=trials,
                    reported_folds=settings.folds,
                    threads=settings.threads,
                    country=settings.country,
                    progress=progress,
                )
                rows.append(
                    {
                        "model": task.name,
                        "trials": len(tuning.complete_trials(study)),
                        "default": tuning.default_value(study),
                        "best": study.best_value,
                        "params": study.best_params,
                    }
                )
    return rows


def retrain(settings: Settings, *, folds: int | None = None) -> JobReport:
    """Run the nightly job on the dataset that the settings name."""
    from training.retrain import retrain as job
    from training.tracking import Tracker

    mapping = imports.stored_mapping(settings, settings.dataset)
    with progress_bar(f"retrain {settings.dataset}") as progress:
        return job(
            settings.home,
            Tracker(settings.mlruns),
            settings.dataset,
            lambda: imports.import_records(settings, settings.dataset, mapping, progress),
            folds=folds or settings.folds,
            threads=settings.threads,
            keep=settings.keep_versions,
            country=settings.country,
            max_bad_share=settings.max_bad_share,
            progress=progress,
        )


def serve(settings: Settings, *, try_it: bool = False) -> int:
    """Serve the published version until interrupted; returns the server's exit code.

    A dataset that is named explicitly and is not the published one is published first.
    """
    from foresell import smoke
    from serving import launch

    version = published.served(settings.home)
    named = "dataset" in settings.model_fields_set
    if version is None or (named and version[1].dataset != settings.dataset):
        from training.publish import publish
        from training.tracking import Tracker

        with progress_bar(f"publish {settings.dataset}") as progress:
            publish(
                settings.home,
                Tracker(settings.mlruns),
                settings.dataset,
                keep=settings.keep_versions,
                progress=progress,
            )
        version = published.served(settings.home)
    requests = []
    if try_it and version is not None:
        folder, record = version
        requests = smoke.example_requests(open_dataset(settings.home, record.dataset), folder)

    def when_ready(url: str) -> None:
        console.print(
            f"[bold]serving[/] {url}, documentation at {url}/docs; Ctrl-C ends it", soft_wrap=True
        )
        smoke.send(url, requests)

    return launch.serve(
        home=settings.home,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        when_ready=when_ready,
    )
