"""Functions behind the commands: open what the settings name, run one package, return results."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.calendar import day_start, to_day
from features.dataset import Dataset, open_dataset
from features.errors import InvalidInput, MissingData
from foresell import importing as imports
from foresell.failures import Failures
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.settings import Settings

if TYPE_CHECKING:
    from training.backtest import Progress, Report
    from training.contract import Task
    from training.retraining.job import Job
    from training.retraining.report import JobReport
    from training.task_setup import TaskSetup


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
    failures: Failures | None = None,
) -> list[Report]:
    """Backtest one task, or all that the dataset supports; those that fail are in `failures`.

    Raises
    ------
    MissingData
        If none can be backtested.
    """
    from training import backtest
    from training.standing import judge

    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    failures = failures or Failures(settings.home, model)
    reports = []
    wanted = folds or settings.folds
    setups = set_up_tasks(
        settings,
        model,
        dataset,
        end,
        wanted,
        # Only a number of folds beyond the default was certainly chosen on purpose.
        exactly=(folds or 0) > settings.folds,
        grain=grain,
        horizon=horizon,
        failures=failures,
    )
    steps = sum(count_methods(setup.task) * setup.folds for setup in setups)
    with progress_bar(f"evaluate {model} on {dataset.name}", steps) as progress:
        for setup in setups:
            console.print(setup.describe())
            params = tuned_params(settings, setup, dataset, end)
            with failures.isolate(setup.task.name):
                report = backtest.evaluate(
                    setup.task,
                    dataset,
                    wanted,
                    as_of=end,
                    options=setup.options,
                    params={**params, "threads": settings.threads},
                    progress=progress,
                )
                # Raises if no fold has the primary metric, by which methods are ranked.
                console.print(judge(report).describe(setup.task.name), soft_wrap=True)
                reports.append(report)
    if not (reports or failures.messages):
        raise MissingData(
            f"No model can be judged on dataset {dataset.name}; see above why.", field="dataset"
        )
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
    failures: Failures | None = None,
) -> list[TaskSetup]:
    """Set up one task, or all that the dataset supports.

    Raises
    ------
    MissingData
        If a single task cannot run.
    InvalidInput
        If an option suits no task.
    """
    from training.registry import select_tasks
    from training.task_setup import set_up

    failures = failures or Failures(settings.home, model)
    setups = []
    for task in select_tasks(model):
        # An option that does not suit one task is a mistake in the command.
        with failures.isolate(task.name, InvalidInput):
            setup = set_up(
                task,
                dataset,
                end,
                folds=folds,
                exactly=exactly,
                grain=grain,
                horizon_days=horizon,
                country=settings.country,
                explain_attributes=settings.explain_attributes,
            )
            setups.append(setup)
    return setups


def count_methods(task: Task) -> int:
    """Count the methods in each fold of a backtest: the model and its baselines."""
    return 1 + len(task.baselines)


def tuned_params(
    settings: Settings, setup: TaskSetup, dataset: Dataset, end: datetime
) -> dict[str, Any]:
    """Return options of a model over its defaults; tuning saw no fold that ends by `end`."""
    from training.backtest import rolling_origins
    from training.tuning import best_params

    # Batches may be scored within a day, while origins are starts of days.
    midnight = day_start(to_day(end))
    origins = rolling_origins(dataset, setup.options, setup.folds, midnight)
    tuned = best_params(
        settings.mlruns, dataset, setup.task, setup.options, min(origins, default=midnight)
    )
    return setup.params | tuned


def tune(
    settings: Settings, model: str, *, trials: int, failures: Failures | None = None
) -> list[dict[str, Any]]:
    """Add trials to the studies; returns one row per task, and adds to `failures`."""
    from training import tuning
    from training.tracking import Tracker

    dataset = dataset_of(settings)
    tracker = Tracker(settings.mlruns, settings.tracking_database)
    rows = []
    failures = failures or Failures(settings.home, model)
    setups = set_up_tasks(settings, model, dataset, dataset.end, settings.folds, failures=failures)
    title = f"tune {model} on {dataset.name}"
    with progress_bar(title, steps=trials * len(setups)) as progress:
        for task in (setup.task for setup in setups):
            with failures.isolate(task.name):
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
                        "metric": task.primary,
                        "slice": task.primary_slice,
                        "trials": len(tuning.complete_trials(study)),
                        "default": tuning.default_value(study),
                        "best": study.best_value,
                        "params": study.best_params,
                    }
                )
    return rows


def retrain(settings: Settings, *, folds: int | None = None, only: str = "all") -> JobReport:
    """Run the nightly job on the dataset that the settings name; `only` one task, or all."""
    from training.registered import Registry
    from training.retraining.quiet import note_complete, quiet_night

    home, name = settings.home, settings.dataset
    registry = Registry(settings.mlruns, settings.tracking_database)
    mapping = imports.stored_mapping(settings, name)
    source = imports.source_digest(settings, name, mapping)
    options = {**_job_options(settings, folds), "only": only}
    quiet = quiet_night(
        home, registry, name, source=source, options=options, max_bad_share=settings.max_bad_share
    )
    if quiet is not None:
        return quiet
    with progress_bar(f"retrain {name}") as progress:
        report = _retraining(settings, folds, only, progress).run()
    note_complete(home, registry, report, source=source, options=options)
    return report


def plan_retraining(
    settings: Settings, *, folds: int | None = None, only: str = "all"
) -> list[dict[str, str]]:
    """Return what the nightly job would do and why, in rows of step, action and reason."""
    return _retraining(settings, folds, only, lambda _: None).plan()


def _job_options(settings: Settings, folds: int | None) -> dict[str, Any]:
    return {
        "folds": folds or settings.folds,
        "keep": settings.keep_versions,
        "country": settings.country,
        "explain_attributes": settings.explain_attributes,
        "max_bad_share": settings.max_bad_share,
    }


def _retraining(settings: Settings, folds: int | None, only: str, progress: Progress) -> Job:
    from training.registered import Registry
    from training.registry import select_tasks
    from training.retraining.job import Job

    name = settings.dataset
    mapping = imports.stored_mapping(settings, name)
    return Job(
        settings.home,
        Registry(settings.mlruns, settings.tracking_database),
        name,
        lambda: imports.import_records(settings, name, mapping, progress),
        source=imports.source_digest(settings, name, mapping),
        tasks=select_tasks(only),
        threads=settings.threads,
        progress=progress,
        **_job_options(settings, folds),
    )
