"""Digests of what a step of training depends on, its code included.

Equal digests mean equal outputs: what was computed before is used again. Code counts by the text of
the sources that a task runs, not by the commit, which changes with every page of the documentation.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from features.dataset import Dataset
from training.contract import Task

_ROOT = Path(__file__).parents[1]
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


def digest(*values: Any) -> str:
    """Return a short hash of plain values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def sources_digest(*patterns: str) -> str:
    """Return a hash of the sources that match some patterns below the product's folder."""
    paths = sorted({path for pattern in patterns for path in _ROOT.glob(pattern)})
    texts = [(path.relative_to(_ROOT).as_posix(), path.read_bytes()) for path in paths]
    return digest(*((name, hashlib.sha256(text).hexdigest()) for name, text in texts))


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
