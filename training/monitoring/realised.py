"""Realised quality: kept predictions and the outcomes that are known by now in, checks out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.errors import NotFound
from training.backtest import FORESELL, shift_windows
from training.contract import Score, Task
from training.monitoring import predictions as kept
from training.monitoring.checks import Check
from training.registered import Registry, Version

if TYPE_CHECKING:
    from training.tracking import Tracker

# A metric is worse than its backtest beyond this many standard deviations over folds, or this part
# of its mean (slices vary more), and beyond this many standard errors over cases in both. The
# deviation of one case is about the mean of the metric.
DEVIATIONS = 3
LEAST_SHARE, LEAST_SHARE_OF_SLICES = 0.25, 0.5
# Cases that a slice needs.
MIN_CASES = 50


@dataclass(frozen=True)
class Limits:
    """What the backtest of a version leads to expect of one metric on one slice."""

    mean: float
    deviation: float

    def worst(self, task: Task, cases: int, share: float, level: float | None = None) -> float:
        """Return the worst value of some cases that is still as expected.

        `level` is the mean overall: the metric of an easy slice varies by more than its own mean.
        """
        mean = max(abs(self.mean), abs(level or 0))
        slack = max(DEVIATIONS * self.deviation, share * mean)
        slack += DEVIATIONS * mean / math.sqrt(cases)
        return self.mean + slack if task.lower_is_better else self.mean - slack


def realised_quality(
    home: Path,
    registry: Registry,
    open_tracker: Callable[[], "Tracker"],
    dataset: Dataset,
    task: Task,
) -> list[Check]:
    """Evaluate versions of a task whose horizon has passed, and log the metrics in their runs.

    Their predictions are deleted afterwards. One check per evaluated version is returned, the
    newest last: whether the primary metric, overall and by slice, is as in the backtest.
    """
    checks = []
    for number, path in kept.kept_versions(home, dataset.name, task.name).items():
        try:
            version = registry.numbered(dataset.name, task.name, number)
        except NotFound:
            # An old version was removed before its outcomes were known.
            path.unlink()
            continue
        if shift_windows(version.as_of, version.options, 1) > dataset.end:
            continue
        scores = evaluate(task, dataset, version, pl.read_parquet(path))
        # Where nothing happened in the horizon, there is no primary metric.
        primary = (task.primary_slice, task.primary)
        if any((score.slice, score.metric) == primary for score in scores):
            tracker = open_tracker()
            tracker.log_realised(version.run_id, scores)
            checks.append(judge(task, version, scores, tracker.backtest_rows(version.run_id)))
        path.unlink()
    return checks


def evaluate(
    task: Task, dataset: Dataset, version: Version, predictions: pl.DataFrame
) -> list[Score]:
    """Evaluate predictions against what happened, on a sample if they are of one."""
    column = kept.sampled_by(predictions)
    if column is not None:
        sample = predictions.select(column).unique()
        population = task.population(dataset, version.as_of, version.options)
        if not population.join(sample, on=column, how="anti").is_empty():
            dataset = _of(dataset, sample, column)
    return task.evaluate(dataset, version.as_of, version.options, predictions)


def judge(
    task: Task, version: Version, scores: list[Score], backtest: pl.DataFrame | None
) -> Check:
    """Compare realised scores of a version with the rows of its backtest, if it has one."""
    realised = {score.slice: score for score in scores if score.metric == task.primary}
    primary = realised[task.primary_slice]
    name = f"{task.name} {task.primary}"
    words = f"{version.label} as of {version.as_of.date()}: {task.primary} {primary.value:.4g}"
    expected = {} if backtest is None else _expected(task, backtest)
    if task.primary_slice not in expected:
        detail = f"{words}, without a backtest to compare with"
        return Check("quality", name, primary.value, None, None, ok=True, detail=detail)
    limits = expected.pop(task.primary_slice)
    worst = limits.worst(task, primary.n, LEAST_SHARE)
    words += f", {limits.mean:.4g} in the backtest"
    failing = [words] if _is_worse(task, primary.value, worst) else []
    for group, limit in expected.items():
        score = realised.get(group)
        if score is None or score.n < MIN_CASES or group == "all":
            continue
        worst_of_group = limit.worst(task, score.n, LEAST_SHARE_OF_SLICES, limits.mean)
        if _is_worse(task, score.value, worst_of_group):
            failing.append(f"{group}: {score.value:.4g}, {limit.mean:.4g} in the backtest")
    low, high = (None, worst) if task.lower_is_better else (worst, None)
    remedy = f". See what changed, then run `foresell retrain` or `foresell rollback {task.name}`"
    detail = "; ".join(failing) + remedy if failing else words
    return Check("quality", name, primary.value, low, high, ok=not failing, detail=detail)


def _expected(task: Task, backtest: pl.DataFrame) -> dict[str, Limits]:
    """Return what to expect by slice."""
    rows = backtest.filter(method=FORESELL, metric=task.primary)
    stats = rows.group_by("slice", maintain_order=True).agg(
        pl.col("value").mean().alias("mean"), pl.col("value").std().fill_null(0).alias("deviation")
    )
    return {name: Limits(mean, deviation) for name, mean, deviation in stats.iter_rows()}


def _is_worse(task: Task, value: float, worst: float) -> bool:
    return value > worst if task.lower_is_better else value < worst


def _of(dataset: Dataset, ids: pl.DataFrame, column: str) -> Dataset:
    """Return the dataset with the records of some customers or products."""
    wanted = nw.from_native(ids.lazy())
    tables = {
        name: table.join(wanted, on=column, how="semi")
        for name, table in dataset.tables.items()
        if dataset.has(name, column)
    }
    return dataset.with_tables(f"{dataset.snapshot}-kept", tables)
