"""Optuna: look for better options of a model, on folds before those that are reported.

Studies are kept in SQLite beside MLflow's store and go on where they stopped; each trial
is a nested MLflow run. The next training takes the best options of its task's study.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna

from features.dataset import Dataset
from features.errors import InvalidInput
from training.backtest import FORESELL, Progress, backtest, rolling_origins
from training.contract import Space, Task
from training.questions import ask
from training.tracking import Tracker

optuna.logging.set_verbosity(optuna.logging.WARNING)

TUNING_FOLDS = 2


def tuning_origins(
    dataset: Dataset, horizon_days: int, reported_folds: int, end: datetime
) -> list[datetime]:
    """Return up to two origins whose windows all end before the first reported fold.

    Raises
    ------
    InvalidInput
        If the history is too short for even one.
    """
    first_reported = rolling_origins(dataset, horizon_days, reported_folds, end)[0]
    for folds in range(TUNING_FOLDS, 1, -1):
        try:
            return rolling_origins(dataset, horizon_days, folds, first_reported)
        except InvalidInput:
            continue
    return rolling_origins(dataset, horizon_days, 1, first_reported)


def best_params(
    mlruns: Path, dataset: Dataset, task: Task, options: Mapping[str, Any], before: datetime
) -> dict[str, Any]:
    """Return the best options found for a task; empty where it was never tuned.

    Parameters
    ----------
    before
        The first origin that will be reported: what was tuned on days at or after it is
        not used, since the report would then praise a choice that has seen its answers.
    """
    path = _database(mlruns)
    name = _study_name(dataset, task, options)
    if not path.exists() or name not in optuna.get_all_study_names(storage=f"sqlite:///{path}"):
        return {}
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{path}")
    done = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    seen_until = datetime.fromisoformat(study.user_attrs["seen_until"])
    return dict(study.best_params) if done and seen_until <= before else {}


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
    """Add `trials` trials to the task's study; the first of all is the defaults.

    Judged by the mean of the primary metric over folds that end where the reported folds
    begin. Interrupted at any time, what is done is kept.
    """
    question = ask(task, dataset, dataset.end, folds=reported_folds)
    options = question.options
    origins = tuning_origins(dataset, options["horizon_days"], question.folds, dataset.end)
    study = optuna.create_study(
        study_name=_study_name(dataset, task, options),
        storage=f"sqlite:///{_database(tracker.mlruns)}",
        direction="minimize" if task.lower_is_better else "maximize",
        load_if_exists=True,
    )
    # Resumed with the seed it began with, the sampler would propose its first draws again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    seen_until = origins[-1] + timedelta(days=options["horizon_days"])
    study.set_user_attr("seen_until", seen_until.isoformat())
    if not study.trials:
        default = task.model(**options)
        study.enqueue_trial(params={name: getattr(default, name) for name in task.tunable})
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
    return "-".join([dataset.name, task.name, *(str(value) for value in options.values())])
