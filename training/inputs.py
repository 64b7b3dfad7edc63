"""Digests of what a step of training depends on (`features.storage.kept`)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from features.dataset import Dataset
from features.storage.kept import digest, sources_digest
from training.contract import Task

# What fits and evaluates a task, apart from the folder of its model.
_SHARED = (
    "features/*.py",
    "features/customers/**/*.py",
    "features/demand/**/*.py",
    "features/interactions/**/*.py",
    "training/backtest.py",
    "training/contract.py",
    "training/customers/**/*.py",
    "training/estimators/**/*.py",
    "training/measurements.py",
    "training/metrics/**/*.py",
)


def code_digest(task: Task) -> str:
    """Return a hash of the sources by which a task is fitted and evaluated."""
    folder = task.model.__module__.rpartition(".")[0].replace(".", "/")
    return sources_digest(*_SHARED, f"{folder}/**/*.py")


def training_digest(
    task: Task,
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    params: Mapping[str, Any],
) -> str:
    """Return a hash of everything that a fit of the task depends on."""
    return digest(dataset.snapshot, as_of, dict(options), dict(params), code_digest(task))


def backtest_digest(
    task: Task,
    dataset: Dataset,
    origins: Sequence[datetime],
    options: Mapping[str, Any],
    params: Mapping[str, Any],
    *,
    baselines: Iterable[str],
    code: str,
) -> str:
    """Return a hash of everything that a backtest depends on.

    Parameters
    ----------
    code
        The code that fits the model, as of `code_digest`.
    """
    records = (task.name, dataset.name, dataset.snapshot, list(origins))
    return digest(*records, dict(options), dict(params), sorted(baselines), code)
