"""Backtests that are kept between nights: one folder each, named by the digest of its inputs.

A kept backtest has the rows and losses of the cases, without ids of customers.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl

from features.dataset import Dataset
from training.backtest import Report
from training.contract import Task
from training.retraining.folder import retraining_folder

_ROWS, _LOSSES, _VALUES = "rows.parquet", "losses.parquet", "values.json"
# Of each task: those of tonight's challenger and champion, and of the night before.
_KEPT = 4
_DRAFT = "draft-"
_LOSS_SCHEMA = {"fold": pl.Int32, "loss": pl.Float64}


def keep_backtest(home: Path, key: str, report: Report) -> None:
    """Write a backtest; a crash leaves none or the whole. The oldest of the task give way."""
    parent = _parent(home, report.dataset.name)
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / f"{report.task.name}-{key}"
    draft = Path(mkdtemp(prefix=_DRAFT, dir=parent))
    report.rows.write_parquet(draft / _ROWS)
    losses = [
        pl.DataFrame({"fold": [fold] * len(values), "loss": values}, _LOSS_SCHEMA)
        for fold, values in enumerate(report.losses)
    ]
    empty = pl.DataFrame(schema=_LOSS_SCHEMA)
    pl.concat([empty, *losses]).write_parquet(draft / _LOSSES)
    values = {
        "seconds": dict(report.seconds),
        "predict_seconds": report.predict_seconds,
        "not_finite": report.not_finite,
    }
    (draft / _VALUES).write_text(json.dumps(values))
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    _prune(parent, report.task.name)


def kept_backtest(
    home: Path,
    key: str,
    task: Task,
    dataset: Dataset,
    origins: Sequence[datetime],
    options: Mapping[str, Any],
) -> Report | None:
    """Return the kept backtest of some inputs, without predictions; None if there is none."""
    folder = _parent(home, dataset.name) / f"{task.name}-{key}"
    if not folder.is_dir():
        return None
    folder.touch()
    losses = pl.read_parquet(folder / _LOSSES).partition_by("fold", maintain_order=True)
    cases = [fold.get_column("loss").to_numpy().astype(np.float64) for fold in losses]
    values = json.loads((folder / _VALUES).read_text())
    rows = pl.read_parquet(folder / _ROWS)
    return Report(task, dataset, options, origins, rows, {}, losses=cases, **values)


def _parent(home: Path, dataset: str) -> Path:
    return retraining_folder(home, dataset) / "backtests"


def _prune(parent: Path, task: str) -> None:
    """Remove the oldest kept backtests of a task, and drafts of killed jobs."""
    for draft in parent.glob(f"{_DRAFT}*"):
        shutil.rmtree(draft)
    # The name of a task may begin like another one's, and a digest has no hyphen.
    own = [path for path in parent.iterdir() if path.name.rpartition("-")[0] == task]
    for path in sorted(own, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(path)
