"""Train a task's model and register it; evaluate a registered version in the run of its training.

Both are separate, so that a model can be published before its backtest, or after it.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from features.dataset import Dataset
from training.backtest import Progress, Report
from training.backtest import evaluate as backtest
from training.contract import Model, Task, model_with_options, options_of
from training.inputs import code_digest, training_digest
from training.published.versions import FORMAT
from training.registered import CHALLENGER, Version
from training.standing import UNJUDGED, Standing, judge
from training.tracking import Tracker, code_version


def train(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    *,
    as_of: datetime | None = None,
    options: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    standing: Standing = UNJUDGED,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Version:
    """Fit as of `as_of` (default: the dataset's end), log and register; returns the version.

    Parameters
    ----------
    options
        Options of the task; by default those that suit the dataset.
    params
        Options of the model over its defaults, such as tuned ones.
    standing
        What is known of the version before its evaluation.
    threads
        Threads of the numeric libraries, which are no option: they only change the run time.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs.
    """
    task.model.needs.check(dataset, task.name)
    as_of = as_of or dataset.end
    options = dict(options or task.options(dataset, as_of=as_of))
    params = dict(params or {})
    title = f"{task.name} on {dataset.name} as of {as_of.date()}"
    with tracker.run(task.name, title, _tags(task, dataset, as_of, options, params, threads)):
        model = model_with_options(task.model, {**options, **params, "threads": threads})
        tracker.log_params(
            {name: value for name, value in options_of(model).items() if name != "threads"}
        )
        progress(f"{title}: fit")
        model.fit(dataset, as_of)
        number = _register(task, dataset, tracker, model, as_of, options)
        tracker.log_standing(dataset.name, task.name, number, standing)
    return tracker.numbered(dataset.name, task.name, number)


def evaluate(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    version: Version,
    *,
    folds: int = 3,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Report:
    """Backtest the options of a version, log the results in its run and make it the challenger.

    A version has metrics only when its evaluation is complete, so that one which was interrupted
    can be evaluated again.

    Parameters
    ----------
    folds
        Rolling origins to evaluate on, all before the version's instant.
    threads
        Threads of the numeric libraries.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs, or nothing happened in the evaluated windows.
    """
    with tracker.resume(version.run_id):
        report = backtest(
            task,
            dataset,
            folds,
            as_of=version.as_of,
            options=version.options,
            params={**version.params, "threads": threads},
            progress=progress,
        )
        standing = judge(report)
        tracker.log_standing(dataset.name, task.name, version.number, standing, report)
        tracker.log_report(report)
        tracker.set_alias(dataset.name, task.name, CHALLENGER, version.number)
    return report


def trained_as_of(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    as_of: datetime,
    options: Mapping[str, Any],
    fit: Callable[[], Version],
) -> Version:
    """Return the newest version with this instant, snapshot and options, or train one by `fit`."""
    for version in tracker.versions(dataset.name, task.name):
        if version.matches(dataset.snapshot, as_of, options):
            return version
    return fit()


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
        tracker.log_document(name, describe(model, dataset, as_of))
    # A few predictions give the signature of the registered model.
    ids = task.population(dataset, as_of, options).head(5)
    return tracker.register(task, model, dataset, model.predict(dataset, as_of, ids), ids)


def _tags(
    task: Task,
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    params: Mapping[str, Any],
    threads: int,
) -> dict[str, str]:
    """Return the tags of a training run, from which `Tracker` describes the version."""
    return {
        "dataset": dataset.name,
        "snapshot": dataset.snapshot,
        "as_of": as_of.isoformat(),
        "code": code_version(),
        "inputs": training_digest(task, dataset, as_of, options, params),
        "source": code_digest(task),
        "format": str(FORMAT),
        "threads": str(threads),
        "primary": task.primary,
        "settings": json.dumps({"options": options, "params": params}),
        "missing_optional": json.dumps(task.model.needs.missing_optional(dataset)),
        **({"note": task.note} if task.note else {}),
    }
