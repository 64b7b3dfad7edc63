"""What the verbs do, as plain functions: open what the settings name, call one package, return."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.calendar import day_start, to_day
from features.dataset import Dataset, open_dataset
from features.errors import MissingData
from features.storage.locks import job_lock
from foresell import importing as imports
from foresell.progress import console, progress
from foresell.settings import Settings
from training.published import versions as published

if TYPE_CHECKING:
    from training.backtest import Report
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
    """Backtest one task or all that the dataset can run."""
    from training import backtest

    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    reports = []
    asked = set_up_tasks(
        model,
        dataset,
        end,
        folds or settings.folds,
        # More than is usual is a wish, not a habit.
        exactly=(folds or 0) > settings.folds,
        grain=grain,
        horizon=horizon,
    )
    steps = sum(_methods(setup.task) * setup.folds for setup in asked)
    with progress(f"evaluate {model} on {dataset.name}", steps) as tell:
        for setup in asked:
            console.print(setup.describe())
            task, options = setup.task, setup.options
            params = tuned(settings, task, dataset, options, setup.folds, end)
            with _left_out_of_all(model, task):
                report = backtest.evaluate(
                    task,
                    dataset,
                    setup.folds,
                    as_of=end,
                    options=options,
                    params={**params, "threads": settings.threads},
                    progress=tell,
                )
                # A report that ranks nobody is none.
                report.primary(backtest.FORESELL)
                reports.append(report)
    return reports


def set_up_tasks(
    model: str,
    dataset: Dataset,
    end: datetime,
    folds: int,
    *,
    exactly: bool = False,
    grain: str | None = None,
    horizon: int | None = None,
) -> list[TaskSetup]:
    """Put the tasks named to a dataset; of `all`, those that it can run.

    Raises
    ------
    MissingData
        If a task that was named alone cannot run.
    """
    from training.registry import select_tasks
    from training.task_setup import set_up

    able = []
    for task in select_tasks(model):
        with _left_out_of_all(model, task):
            able.append(
                set_up(
                    task,
                    dataset,
                    end,
                    folds=folds,
                    exactly=exactly,
                    grain=grain,
                    horizon_days=horizon,
                )
            )
    return able


@contextmanager
def _left_out_of_all(model: str, task: Task) -> Iterator[None]:
    """Where all were named, say what one lacks and go on with the others."""
    try:
        yield
    except MissingData as error:
        if model != "all":
            raise
        console.print(f"[yellow]{task.name} is left out: {error.message}[/]")


def _methods(task: Task) -> int:
    """Count what a fold of the task's backtest judges: the model and its baselines."""
    return 1 + len(task.baselines)


def tuned(
    settings: Settings,
    task: Task,
    dataset: Dataset,
    options: dict[str, Any],
    folds: int,
    end: datetime,
) -> dict[str, Any]:
    """Return the options that the question leaves open.

    Tuned ones that may be used for the last `folds` horizons before `end`, and the country.
    """
    from training.backtest import rolling_origins
    from training.contract import in_country
    from training.tuning import best_params

    # Nothing is judged here, and a batch may be scored within a day.
    midnight = day_start(to_day(end))
    first = rolling_origins(dataset, options["horizon_days"], folds, midnight)[0]
    best = best_params(settings.mlruns, dataset, task, options, first)
    return best | in_country(task, settings.country)


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
    """Train, promote and publish; one row a task that was trained, with its figures.

    Parameters
    ----------
    if_missing
        Whether to pass over tasks whose champion answers this question of these records already.

    Raises
    ------
    Unavailable
        If another such job runs, or somebody is being forgotten.
    """
    from training.promote import champions, publish
    from training.tracking import Tracker

    # Who is forgotten while models learn would come back with them.
    with job_lock(settings.home, "retrain"):
        dataset = dataset_of(settings)
        end = dataset.instant(as_of)
        tracker = Tracker(settings.mlruns)
        asked = set_up_tasks(
            model,
            dataset,
            end,
            folds or settings.train_folds,
            exactly=(folds or 0) > settings.folds,
            grain=grain,
            horizon=horizon,
        )
        if if_missing:
            there = champions(tracker, dataset.name)
            asked = [one for one in asked if not _answered(there, one, dataset, end)]
        # Each task's backtest, its final fit and its publishing.
        steps = sum(_methods(setup.task) * setup.folds + 2 for setup in asked)
        with progress(f"train {model} on {dataset.name} as of {end.date()}", steps) as tell:
            rows = []
            for setup in asked:
                console.print(setup.describe())
                with _left_out_of_all(model, setup.task):
                    rows.append(_train(settings, dataset, tracker, setup, end, tell))
            publish(
                settings.home,
                tracker,
                dataset.name,
                keep=settings.keep_versions,
                opened=dataset,
                progress=tell,
            )
    return rows


def _answered(
    there: Mapping[str, Version], setup: TaskSetup, dataset: Dataset, end: datetime
) -> bool:
    """Say whether a champion answers a question already; tell so."""
    champion = there.get(setup.task.name)
    if champion is None:
        return False
    known = (champion.snapshot, champion.as_of, champion.options)
    if known != (dataset.snapshot, end, setup.options):
        return False
    console.print(f"{setup.task.name}: {champion.label} is of these records already")
    return True


def _train(
    settings: Settings,
    dataset: Dataset,
    tracker: Tracker,
    setup: TaskSetup,
    end: datetime,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Train one task's model and make it the champion."""
    from training import train as training
    from training.tracking import CHAMPION

    task, options = setup.task, setup.options
    started = time.process_time()
    trained = training.train(
        task,
        dataset,
        tracker,
        as_of=end,
        folds=setup.folds,
        options=options,
        params=tuned(settings, task, dataset, options, setup.folds, end),
        threads=settings.threads,
        progress=tell,
    )
    tracker.set_alias(dataset.name, task.name, CHAMPION, trained.version.number)
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
    """Add trials to the studies; one row a task."""
    from training import tuning
    from training.tracking import Tracker

    dataset = dataset_of(settings)
    tracker = Tracker(settings.mlruns)
    found = []
    asked = set_up_tasks(model, dataset, dataset.end, settings.folds)
    with progress(f"tune {model} on {dataset.name}", steps=trials * len(asked)) as tell:
        for task in (setup.task for setup in asked):
            with _left_out_of_all(model, task):
                study = tuning.tune(
                    task,
                    dataset,
                    tracker,
                    trials=trials,
                    reported_folds=settings.folds,
                    threads=settings.threads,
                    progress=tell,
                )
                found.append(
                    {
                        "model": task.name,
                        "trials": len(tuning.done(study)),
                        "default": tuning.default_value(study),
                        "best": study.best_value,
                        "params": study.best_params,
                    }
                )
    return found


def retrain(settings: Settings, *, folds: int | None = None) -> JobReport:
    """Run the nightly job on the dataset that the settings name."""
    from training.retrain import retrain as job
    from training.tracking import Tracker

    mapping = imports.mapping_of(settings, settings.dataset)
    with progress(f"retrain {settings.dataset}") as tell:
        return job(
            settings.home,
            Tracker(settings.mlruns),
            settings.dataset,
            lambda: imports.bring_in(settings, settings.dataset, mapping, tell),
            folds=folds or settings.folds,
            threads=settings.threads,
            keep=settings.keep_versions,
            country=settings.country,
            progress=tell,
        )


def serve(settings: Settings, *, try_it: bool = False) -> int:
    """Serve the published version until interrupted; returns the server's exit code.

    A dataset that was asked for by name, and is not the one that is published, is published first.
    """
    from foresell.smoke import ask, questions
    from serving import launch

    found = published.served(settings.home)
    asked_for = "dataset" in settings.model_fields_set
    if found is None or (asked_for and found[1].dataset != settings.dataset):
        from training.promote import publish
        from training.tracking import Tracker

        with progress(f"publish {settings.dataset}") as tell:
            publish(
                settings.home,
                Tracker(settings.mlruns),
                settings.dataset,
                keep=settings.keep_versions,
                progress=tell,
            )
        found = published.served(settings.home)
    asked = []
    if try_it and found is not None:
        folder, record = found
        asked = questions(open_dataset(settings.home, record.dataset), folder)

    def when_ready(url: str) -> None:
        console.print(
            f"[bold]serving[/] {url}, documentation at {url}/docs; Ctrl-C ends it", soft_wrap=True
        )
        ask(url, asked)

    return launch.serve(
        home=settings.home,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        when_ready=when_ready,
    )
