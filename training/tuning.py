"""Optuna: look for better options of a model, on folds before those that are reported.

Studies are kept in SQLite beside MLflow's store and go on where they stopped while the records
end where they did; each trial is a nested MLflow run. The next training takes the best options of
its task's newest study.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna

from features.dataset import Dataset
from training.backtest import FORESELL, Progress, backtest, rolling_origins
from training.contract import Space, Task
from training.task_setup import fitting_folds, set_up
from training.tracking import Tracker

optuna.logging.set_verbosity(optuna.logging.WARNING)

TUNING_FOLDS = 2
# Between what a study is of and the days that it judges on.
AT = "@"
DEFAULT = "default"


def tuning_origins(
    task: Task, dataset: Dataset, options: dict[str, Any], reported_folds: int, end: datetime
) -> list[datetime]:
    """Return up to two origins whose windows all end before the first reported fold.

    Raises
    ------
    MissingData
        If the history is too short for even one.
    """
    horizon = options["horizon_days"]
    first_reported = end - timedelta(days=horizon * reported_folds)
    folds, _ = fitting_folds(task, dataset, options, first_reported, TUNING_FOLDS)
    return rolling_origins(dataset, horizon, folds, first_reported)


def best_params(
    mlruns: Path, dataset: Dataset, task: Task, options: Mapping[str, Any], before: datetime
) -> dict[str, Any]:
    """Return the best options found for a task; empty where it was never tuned.

    Parameters
    ----------
    before
        The first origin that will be reported: what was tuned on days at or after it is
        not used, since the report would then praise a choice that has seen its answers.
        Of what remains, the study of the newest days counts.
    """
    path = _database(mlruns)
    if not path.exists():
        return {}
    storage, name = f"sqlite:///{path}", _study_name(dataset, task, options)
    found = {}
    for one in optuna.get_all_study_names(storage=storage):
        if one.rpartition(AT)[0] == name:
            study = optuna.load_study(study_name=one, storage=storage)
            seen_until = datetime.fromisoformat(study.user_attrs["seen_until"])
            if seen_until <= before and done(study):
                found[seen_until] = study
    return dict(found[max(found)].best_params) if found else {}


def tune(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    *,
    trials: int,
    reported_folds: int = 3,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> optuna.Study:
    """Add `trials` trials to the task's study of these days; the first of all is the defaults.

    Judged by the mean of the primary metric over folds that end where the reported folds
    begin. Interrupted at any time, what is done is kept. Other days are another study: losses on
    them do not compare.

    Raises
    ------
    MissingData
        If the history is too short to tune on days that are not reported.
    """
    setup = set_up(task, dataset, dataset.end, folds=reported_folds)
    options = setup.options
    origins = tuning_origins(task, dataset, options, setup.folds, dataset.end)
    days = AT + "+".join(str(origin.date()) for origin in origins)
    study = optuna.create_study(
        study_name=_study_name(dataset, task, options) + days,
        storage=f"sqlite:///{_database(tracker.mlruns)}",
        direction="minimize" if task.lower_is_better else "maximize",
        load_if_exists=True,
    )
    # Resumed with the seed it began with, the sampler would propose its first draws again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    seen_until = origins[-1] + timedelta(days=options["horizon_days"])
    study.set_user_attr("seen_until", seen_until.isoformat())
    default = task.model(**options)
    study.set_user_attr(DEFAULT, {name: getattr(default, name) for name in task.tunable})
    # What an interrupt cut short was judged by nobody.
    waiting = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.WAITING])
    if default_value(study) is None and not waiting:
        study.enqueue_trial(params=study.user_attrs[DEFAULT])
    tags = {"dataset": dataset.name, "snapshot": dataset.snapshot}

    def judge(trial: optuna.Trial) -> float:
        params = _suggest(trial, task.tunable)
        progress(f"{task.name}: trial {trial.number}")
        with tracker.run(task.name, f"trial {trial.number}", tags, nested=True):
            report = backtest(
                task, dataset, origins, options, params={**params, "threads": threads}, baselines=()
            )
            tracker.log_params(params)
            tracker.log_metrics({f"mean_{task.primary}": report.primary(FORESELL)})
        return report.primary(FORESELL)

    with tracker.run(task.name, f"tune {task.name}", tags):
        study.optimize(judge, n_trials=trials)
    return study


def done(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a study that were judged."""
    return study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])


def default_value(study: optuna.Study) -> float | None:
    """Return what the defaults were judged at in a study of `tune`'s; None before they were."""
    default = study.user_attrs[DEFAULT]
    return next((trial.value for trial in done(study) if trial.params == default), None)


def _suggest(trial: optuna.Trial, spaces: Mapping[str, Space]) -> dict[str, float | int]:
    return {
        name: trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
        if space.integer
        else trial.suggest_float(name, space.low, space.high, log=space.log)
        for name, space in spaces.items()
    }


def _database(mlruns: Path) -> Path:
    return mlruns.absolute() / "optuna.db"


def _study_name(dataset: Dataset, task: Task, options: Mapping[str, Any]) -> str:
    """Name what is tuned; a study's own name also has its days."""
    return "-".join([dataset.name, task.name, *(str(value) for value in options.values())])
