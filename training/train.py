"""Train one task's model: judge it on rolling origins, fit it on all, log, register.

Used by the command line, by notebooks and by the retraining job.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.dataset import Dataset
from training.backtest import Progress, Report, evaluate
from training.contract import Model, Task
from training.tracking import CHALLENGER, Tracker, Version, code_version


@dataclass(frozen=True)
class Trained:
    """A model that was fitted, judged and registered.

    Attributes
    ----------
    model
        The fitted model.
    report
        Its backtest; None where judging was not asked for.
    version
        The registered version, alias `challenger` where it was judged.
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
    """Judge, fit as of `as_of` (by default the dataset's end), log and register.

    Parameters
    ----------
    folds
        Rolling origins to judge on, all before `as_of`; 0 to register without judging.
    options
        What sets the question, by default what suits the dataset.
    params
        Options of the model over its defaults, such as tuned ones.
    threads
        Threads of the numeric libraries; changes the time it takes, not the question.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs.
    """
    task.model.needs.check(dataset, task.name)
    as_of = as_of or dataset.end
    asked = dict(options or task.options(dataset, as_of=as_of))
    chosen = dict(params or {})
    tags = {
        "dataset": dataset.name,
        "snapshot": dataset.snapshot,
        "as_of": as_of.isoformat(),
        "code": code_version(),
        "primary": task.primary,
        "settings": json.dumps({"options": asked, "params": chosen}),
        "without": json.dumps(task.model.needs.missing_optional(dataset)),
        **({"note": task.note} if task.note else {}),
    }
    with tracker.run(task.name, f"{task.name} as of {as_of.date()}", tags):
        tracker.log_params({**asked, **chosen, "folds": folds})
        report = None
        if folds:
            report = evaluate(
                task,
                dataset,
                folds,
                as_of=as_of,
                options=asked,
                params={**chosen, "threads": threads},
                progress=progress,
            )
            tracker.log_report(report)
        progress(f"{task.name} as of {as_of.date()}: final fit")
        model = task.model(**asked, **chosen, threads=threads).fit(dataset, as_of)
        ids = task.population(dataset, as_of, asked).head(5)
        sample = model.predict(dataset, as_of, ids)
        for name, describe in task.extra_artifacts.items():
            tracker.log_document(name, describe(dataset, as_of, asked))
        number = tracker.register(task, model, dataset, sample, ids)
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
    *,
    country: str | None = None,
) -> Version:
    """Return the newest version for this instant, snapshot and question, or train one.

    A version that was told of another country, as `in_country` says it, is passed over.
    """
    for version in tracker.versions(dataset.name, task.name):
        known = (version.as_of, version.snapshot, version.options)
        of_country = version.params.get("country") == country
        if of_country and known == (as_of, dataset.snapshot, dict(options)):
            return version
    return fit().version
