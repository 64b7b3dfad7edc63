"""The monitoring step of the nightly job: before training, and after publication."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from features.dataset import Dataset
from training.backtest import Progress
from training.contract import Task
from training.monitoring import checks as stored
from training.monitoring import predictions as kept
from training.monitoring.checks import Check, Monitoring
from training.monitoring.input_drift import input_drift
from training.monitoring.realised import realised_quality
from training.monitoring.score_drift import population_drift, score_drift
from training.redaction import Redaction
from training.registered import Registry

if TYPE_CHECKING:
    from training.tracking import Tracker


def monitor(
    home: Path,
    registry: Registry,
    open_tracker: Callable[[], "Tracker"],
    dataset: Dataset,
    tasks: Iterable[Task],
    progress: Progress = lambda _: None,
) -> Monitoring:
    """Check records, populations and the quality of past predictions, and keep the checks.

    The store of runs is opened where outcomes of predictions became known. A check of quality stays
    until a newer version of the task can be judged.
    """
    kept.redact(home, dataset.name, Redaction.load(home, dataset.name).mask)
    progress("check records for drift")
    checks = input_drift(dataset)
    described = set()
    for task in tasks:
        version = registry.champion(dataset.name, task.name)
        if version is None:
            continue
        if task.main_features not in described:
            checks += population_drift(task, dataset, version)
            described.add(task.main_features)
        progress(f"{task.name}: realised quality")
        checks += realised_quality(home, registry, open_tracker, dataset, task)[-1:]
    monitoring = Monitoring(dataset.end, _with_former(home, dataset.name, checks))
    stored.write(home, dataset.name, monitoring)
    return monitoring


def keep_predictions(
    home: Path,
    registry: Registry,
    dataset: Dataset,
    tasks: Iterable[Task],
    progress: Progress = lambda _: None,
) -> list[Check]:
    """Keep the predictions of champions as of these records, and check them for drift."""
    checks: list[Check] = []
    for task in tasks:
        version = registry.champion(dataset.name, task.name)
        if version is None or version.snapshot != dataset.snapshot:
            continue
        versions = kept.kept_versions(home, dataset.name, task.name)
        if version.number in versions:
            continue
        progress(f"{version.label}: keep predictions")
        predictions = kept.keep(home, task, dataset, version)
        if versions:
            checks += score_drift(task, pl.read_parquet(versions[max(versions)]), predictions)
    former = stored.read(home, dataset.name)
    if former is not None and checks:
        stored.write(home, dataset.name, replace(former, checks=_newer(former.checks, checks)))
    return checks


def _with_former(home: Path, dataset: str, checks: list[Check]) -> list[Check]:
    """Add what the last job checked and this one could not: quality and scores."""
    former = stored.read(home, dataset)
    kinds = ("quality", "scores")
    lasting = [] if former is None else [check for check in former.checks if check.kind in kinds]
    return _newer(lasting, checks)


def _newer(former: Iterable[Check], checks: list[Check]) -> list[Check]:
    """Return checks, and former ones of other names."""
    names = {check.name for check in checks}
    return [*checks, *(check for check in former if check.name not in names)]
