"""Tune options of a model with Optuna, on folds before those that are reported.

Studies are stored in SQLite beside MLflow's store and continue as long as the records end on the
same day; each trial is a nested MLflow run. The next training uses the best options of the newest
study of its task.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna

from features.dataset import Dataset
from training.backtest import FORESELL, Progress, backtest, rolling_origins, shift_windows
from training.contract import DEFAULT_COUNTRY, Space, Task, options_of
from training.task_setup import folds_to_judge, set_up
from training.tracking import Tracker

optuna.logging.set_verbosity(optuna.logging.WARNING)

TUNING_FOLDS = 2
# Separates what is tuned from the evaluated days in the name of a study.
SEPARATOR = "@"
DEFAULT = "default"


def tuning_origins(
    task: Task, dataset: Dataset, options: dict[str, Any], reported_folds: int, end: datetime
) -> list[datetime]:
    """Return up to two origins whose windows end before the first reported fold.

    Raises
    ------
    MissingData
        If the history is too short for even one.
    """
    first_reported = shift_windows(end, options, -reported_folds)
    folds = folds_to_judge(task, dataset, options, first_reported, TUNING_FOLDS)
    return rolling_origins(dataset, options, folds, first_reported)


def best_params(
    mlruns: Path, dataset: Dataset, task: Task, options: Mapping[str, Any], before: datetime
) -> dict[str, Any]:
    """Return the best tuned options of a task; empty if it was never tuned.

    Parameters
    ----------
    before
        First origin that is reported. Studies that evaluated later days are ignored, because
        they have seen the outcomes that the report is about. Of the others the study of the
        newest days counts.
    """
    path = _database(mlruns)
    if not path.exists():
        return {}
    storage, name = f"sqlite:///{path}", _study_name(dataset, task, options)
    studies = {}
    for study_name in optuna.get_all_study_names(storage=storage):
        if study_name.rpartition(SEPARATOR)[0] == name:
            study = optuna.load_study(study_name=study_name, storage=storage)
            seen_until = datetime.fromisoformat(study.user_attrs["seen_until"])
            if seen_until <= before and complete_trials(study):
                studies[seen_until] = study
    return dict(studies[max(studies)].best_params) if studies else {}


def tune(
    task: Task,
    dataset: Dataset,
    tracker: Tracker,
    *,
    trials: int,
    reported_folds: int = 3,
    threads: int = 1,
    country: str | None = None,
    progress: Progress = lambda _: None,
) -> optuna.Study:
    """Add `trials` trials to the task's study of these days; the very first has the defaults.

    The objective is the mean of the primary metric over folds that end where the reported folds
    begin. After an interrupt, complete trials are kept. Other days are another study, because
    losses on different days do not compare.

    Raises
    ------
    MissingData
        If the history is too short to tune on days that are not reported.
    """
    setup = set_up(task, dataset, dataset.end, folds=reported_folds, country=country)
    options = setup.options
    origins = tuning_origins(task, dataset, options, setup.folds, dataset.end)
    days = SEPARATOR + "+".join(str(origin.date()) for origin in origins)
    study = optuna.create_study(
        study_name=_study_name(dataset, task, options) + days,
        storage=f"sqlite:///{_database(tracker.mlruns)}",
        direction="minimize" if task.lower_is_better else "maximize",
        load_if_exists=True,
    )
    # With the seed of its first run, a resumed sampler would repeat its first draws.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    seen_until = shift_windows(origins[-1], options, 1)
    study.set_user_attr("seen_until", seen_until.isoformat())
    default = options_of(task.model(**options))
    study.set_user_attr(DEFAULT, {name: default[name] for name in task.tunable})
    # A trial that was interrupted has no value.
    waiting = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.WAITING])
    if default_value(study) is None and not waiting:
        study.enqueue_trial(params=study.user_attrs[DEFAULT])
    tags = {"dataset": dataset.name, "snapshot": dataset.snapshot}

    def objective(trial: optuna.Trial) -> float:
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
        study.optimize(objective, n_trials=trials)
    return study


def complete_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the complete trials of a study."""
    return study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])


def default_value(study: optuna.Study) -> float | None:
    """Return the objective of the defaults in a study; None before that trial is complete."""
    default = study.user_attrs[DEFAULT]
    return next((trial.value for trial in complete_trials(study) if trial.params == default), None)


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
    """Return the name of a study without its days.

    The default country is left out, as in studies from before it was an option of the task.
    """
    values = [
        str(value)
        for name, value in options.items()
        if (name, value) != ("country", DEFAULT_COUNTRY)
    ]
    return "-".join([dataset.name, task.name, *values])
