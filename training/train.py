"""Train a task's model: evaluate at rolling origins, fit on all records, log and register."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.dataset import Dataset
from training.backtest import Progress, Report, evaluate
from training.contract import Model, Task, model_with_options
from training.tracking import CHALLENGER, Tracker, Version, code_version


@dataclass(frozen=True)
class Trained:
    """A fitted and registered model.

    Attributes
    ----------
    model
        The fitted model.
    report
        Its backtest; None without evaluation.
    version
        The registered version, with alias `challenger` if it was evaluated.
    """

    model: Model
    report: Report | None
    version: Version


def train(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    *,
    as_of: datetime | None = None,
    folds: int = 3,
    options: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Trained:
    """Evaluate, fit as of `as_of` (default: the dataset's end), log and register.

    Parameters
    ----------
    folds
        Rolling origins to evaluate on, all before `as_of`; 0 registers without evaluation.
    options
        Options of the task; by default those that suit the dataset.
    params
        Options of the model over its defaults, such as tuned ones.
    threads
        Threads of the numeric libraries; not recorded, since they only change the run time.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs.
    """
    task.model.needs.check(dataset, task.name)
    as_of = as_of or dataset.end
    options = dict(options or task.options(dataset, as_of=as_of))
    params = dict(params or {})
    title = f"{task.name} as of {as_of.date()}"
    with tracker.run(task.name, title, _tags(task, dataset, as_of, options, params)):
        tracker.log_params({**options, **params, "folds": folds})
        report = None
        if folds:
            report = evaluate(
                task,
                dataset,
                folds,
                as_of=as_of,
                options=options,
                params={**params, "threads": threads},
                progress=progress,
            )
            tracker.log_report(report)
        progress(f"{title}: final fit")
        model = model_with_options(task.model, {**options, **params, "threads": threads}).fit(
            dataset, as_of
        )
        number = _register(task, dataset, tracker, model, as_of, options)
        if report is not None:
            tracker.set_alias(dataset.name, task.name, CHALLENGER, number)
    return Trained(model, report, tracker.numbered(dataset.name, task.name, number))


def trained_as_of(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    as_of: datetime,
    options: Mapping[str, Any],
    fit: Callable[[], Trained],
) -> Version:
    """Return the newest version with this instant, snapshot and options, or train one by `fit`."""
    for version in tracker.versions(dataset.name, task.name):
        if version.matches(dataset.snapshot, as_of, options):
            return version
    return fit().version


def _register(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    model: Model,
    as_of: datetime,
    options: Mapping[str, Any],
) -> int:
    """Log the task's extra artifacts and register the model; returns the number of the version."""
    for name, describe in task.extra_artifacts.items():
        tracker.log_document(name, describe(dataset, as_of, options))
    # A few predictions give the signature of the registered model.
    ids = task.population(dataset, as_of, options).head(5)
    return tracker.register(task, model, dataset, model.predict(dataset, as_of, ids), ids)


def _tags(
    task: Task,
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    params: Mapping[str, Any],
) -> dict[str, str]:
    """Return the tags of a training run, from which `Tracker` describes the version."""
    return {
        "dataset": dataset.name,
        "snapshot": dataset.snapshot,
        "as_of": as_of.isoformat(),
        "code": code_version(),
        "primary": task.primary,
        "settings": json.dumps({"options": options, "params": params}),
        "missing_optional": json.dumps(task.model.needs.missing_optional(dataset)),
        **({"note": task.note} if task.note else {}),
    }
