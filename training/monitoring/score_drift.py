"""Drift of populations and of predictions between two instants, by the population stability index.

A dataset or two frames of predictions in, checks out.
"""

import polars as pl

from features.calendar import day_start
from features.dataset import Dataset
from training.backtest import shift_windows
from training.contract import Task
from training.metrics import psi_by_column
from training.monitoring.checks import Check
from training.registered import Version

# Beyond it two samples count as different.
MAX_PSI = 0.25


def population_drift(task: Task, dataset: Dataset, version: Version) -> list[Check]:
    """Compare the main features at the dataset's end with those one horizon before."""
    if task.main_features is None:
        return []
    before = shift_windows(dataset.end, version.options, -1)
    if before <= day_start(dataset.days[0]):
        return []
    frames = [task.main_features(dataset, at, version.options) for at in (before, dataset.end)]
    check = _check("input", f"population of {task.name}", *frames, since=str(before.date()))
    return [] if check is None else [check]


def score_drift(task: Task, former: pl.DataFrame, newest: pl.DataFrame) -> list[Check]:
    """Compare predictions of a version with those of the version before it."""
    check = _check(
        "scores", f"predictions of {task.name}", former, newest, since="the version before"
    )
    return [] if check is None else [check]


def _check(
    kind: str, name: str, former: pl.DataFrame, newest: pl.DataFrame, *, since: str
) -> Check | None:
    """Check the feature or score that drifted most; None where there is none."""
    # Whole numbers of predictions are ranks and days, which are the same for everybody.
    wanted = pl.selectors.numeric() if kind == "input" else pl.selectors.float()
    values = psi_by_column(former, newest, former.select(wanted).columns)
    if not values:
        return None
    column = max(values, key=lambda name: values[name])
    ok = values[column] <= MAX_PSI
    detail = f"largest population stability index {values[column]:.2f} ({column}) since {since}"
    if not ok:
        detail += "; see which records changed, and what they mean for the models"
    return Check(kind, name, values[column], None, MAX_PSI, ok, detail)
