"""Guards of the promotion gate: properties of a challenger that its primary metric may hide.

Backtests of the challenger and the champion on the same folds in, one `Guard` per property out.
A property that is beyond its bound only counts where it is also worse than the champion's, because
a refusal would otherwise keep a champion that is no better.
"""

import math
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from training.backtest import FORESELL, Report
from training.contract import Task
from training.metrics import psi_by_column
from training.retraining.bounds import Bounds
from training.standing import compare as compare_with_baselines

# Slices that are no groups of cases.
_OTHER_SLICES = ("all", "against", "plan", "member", "reason")
_COVERAGE = re.compile(r"coverage_(\d+)")
BASIS = "basis"
_FULL_HISTORY = ("history", "own_history")


@dataclass(frozen=True)
class Guard:
    """One property of a challenger.

    Attributes
    ----------
    name, reason
        The property, and in words what was measured.
    value, bound
        What was measured, and what is allowed.
    passed
        Whether the value is within the bound.
    """

    name: str
    value: float
    bound: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A model to judge.

    Attributes
    ----------
    report
        Its backtest.
    size
        Bytes of its files.
    population
        Main features of the population at its instant; None where the task has none.
    recorded, behind
        Of a champion whose code can no longer be run: its primary metric by fold, and the
        baselines that were better, as its own code measured them on its own folds.
    """

    report: Report
    size: int = 0
    population: pl.DataFrame | None = None
    recorded: tuple[float, ...] = ()
    behind: tuple[str, ...] = ()


def guards(challenger: Candidate, champion: Candidate | None, bounds: Bounds) -> list[Guard]:
    """Measure every property of a challenger; without a champion, by absolute bounds."""
    old = None if champion is None else champion.report
    measured = [outputs(challenger.report)]
    measured += levels(challenger.report, old, bounds)
    if champion is not None:
        measured += [
            slices(challenger.report, champion.report, bounds),
            *size(challenger.size, champion.size, bounds),
            *latency(challenger.report, champion.report, bounds),
            *populations(challenger.population, champion.population, bounds),
            *record(challenger.report, champion, bounds),
        ]
    return [*measured, baselines(challenger.report, champion)]


def outputs(report: Report) -> Guard:
    """Refuse a model whose predictions or primary metric are not finite."""
    primary = report.by_fold(FORESELL)
    share = 1.0 if not np.isfinite(primary).all() else report.not_finite
    reason = f"{share:.2%} of the predicted numbers are NaN or infinite"
    return Guard("outputs", share, 0.0, share == 0, reason)


def levels(report: Report, champion: Report | None, bounds: Bounds) -> Iterator[Guard]:
    """Guard calibration, coverage of intervals and bias, on the slice of the primary metric."""
    former = {} if champion is None else _distances(champion)
    allowed = {
        "calibration": (bounds.calibration, bounds.calibration_slack),
        "coverage": (bounds.coverage, bounds.coverage_slack),
        "bias": (bounds.bias, bounds.bias_slack),
    }
    for metric, (name, value, words) in _distances(report).items():
        bound, slack = allowed[name]
        if metric in former:
            bound = max(bound, former[metric][1] + slack)
        yield Guard(name, value, bound, value <= bound, f"{metric} {words}")


def _distances(report: Report) -> dict[str, tuple[str, float, str]]:
    """Return guard, distance from the ideal and words by metric that has an ideal value."""
    rows = report.rows.filter(
        pl.col("method") == FORESELL, pl.col("slice") == report.task.primary_slice
    )
    means = rows.group_by("metric", maintain_order=True).agg(pl.col("value").mean())
    distances = {}
    for metric, value in means.drop_nulls().iter_rows():
        covered = _COVERAGE.fullmatch(metric)
        if covered is not None:
            level = int(covered[1]) / 100
            distances[metric] = ("coverage", abs(value - level), f"{value:.3f} rather than {level}")
        elif metric == "ece" or metric.startswith("ece_"):
            distances[metric] = ("calibration", value, f"{value:.4f}")
        elif metric == "bias":
            distances[metric] = ("bias", abs(value), f"{value:+.1%}")
    return distances


def slices(report: Report, champion: Report, bounds: Bounds) -> Guard:
    """Guard the slice that is worse than the champion's by most."""
    sign = 1 if report.task.lower_is_better else -1
    worst = Guard("slices", 0.0, bounds.slice_loss, passed=True, reason="no slice is worse")
    now, before = (_by_slice(part, bounds.slice_cases) for part in (report, champion))
    for name in sorted(now.keys() & before.keys()):
        former = before[name]
        losses = [sign * (value - former[f]) for f, value in now[name].items() if f in former]
        level = abs(statistics.fmean(former.values()))
        if not (losses and level):
            continue
        noise = statistics.stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
        loss = (statistics.fmean(losses) - bounds.slice_errors * noise) / level
        if loss > worst.value:
            words = f"{name} is worse by {statistics.fmean(losses) / level:.1%}"
            worst = Guard("slices", loss, bounds.slice_loss, loss <= bounds.slice_loss, words)
    return worst


def _by_slice(report: Report, least_cases: int) -> dict[str, dict[int, float]]:
    """Return the primary metric by slice and fold, of slices with enough cases."""
    kind = pl.col("slice").str.split("=").list.first()
    rows = report.rows.filter(
        pl.col("method") == FORESELL,
        pl.col("metric") == report.task.primary,
        ~kind.is_in(_OTHER_SLICES),
        pl.col("n") >= least_cases,
    )
    by_slice: dict[str, dict[int, float]] = {}
    for name, fold, value in rows.select("slice", "fold", "value").drop_nulls().iter_rows():
        by_slice.setdefault(name, {})[fold] = value
    return by_slice


def size(new: int, old: int, bounds: Bounds) -> Iterator[Guard]:
    """Guard the size of the model's files, where the champion's is known."""
    if old:
        passed = new <= max(bounds.size * old, old + bounds.size_bytes)
        yield Guard("size", new / old, bounds.size, passed, f"{new:,} bytes against {old:,}")


def latency(report: Report, champion: Report, bounds: Bounds) -> Iterator[Guard]:
    """Guard the time that a hundred predictions take, where the champion's is known."""
    new, old = report.predict_seconds, champion.predict_seconds
    if old:
        passed = new <= max(bounds.latency * old, old + bounds.latency_seconds)
        words = f"a hundred predictions take {new:.3f} s against {old:.3f}"
        yield Guard("latency", new / old, bounds.latency, passed, words)


def populations(
    now: pl.DataFrame | None, before: pl.DataFrame | None, bounds: Bounds
) -> Iterator[Guard]:
    """Guard the drift of the main features, and the share of entities with little history."""
    if now is None or before is None:
        return
    shifts = psi_by_column(before, now, (name for name in now.columns if name != BASIS))
    if shifts:
        most = max(shifts, key=lambda name: shifts[name])
        noted = [name for name, shift in shifts.items() if shift > bounds.drift_noted]
        words = f"{', '.join(noted)} shifted" if noted else f"{most} shifted most, within noise"
        passed = shifts[most] <= bounds.drift
        yield Guard("drift", shifts[most], bounds.drift, passed, f"{words} (PSI)")
    if BASIS in now.columns and BASIS in before.columns:
        new, old = (_cold_share(part.get_column(BASIS)) for part in (now, before))
        words = f"{new:.1%} have little or no history, {old:.1%} when the champion was trained"
        bound = old + bounds.cold_start
        yield Guard("cold start", new, bound, new <= bound, words)


def _cold_share(basis: pl.Series) -> float:
    return 1 - float(basis.is_in(_FULL_HISTORY).mean() or 0) if len(basis) else 0.0  # type: ignore[arg-type]


def record(report: Report, champion: Candidate, bounds: Bounds) -> Iterator[Guard]:
    """Guard the distance from what a champion of other code reached on its own folds.

    The windows differ, so that the bounds are wide.
    """
    if not champion.recorded:
        return
    task = report.task
    new, old = report.primary(FORESELL), statistics.fmean(champion.recorded)
    loss = (new - old if task.lower_is_better else old - new) / abs(old) if old else 0.0
    words = f"{task.primary} {new:.4f}, while other code reached {old:.4f} on earlier folds"
    yield Guard("record", loss, bounds.collapse, loss <= bounds.collapse, words)


def plausibility(task: Task, new: float, old: float, bounds: Bounds) -> Guard:
    """Refuse a gain that no honest change brings: features that contain the outcome do.

    What remains to be gained is the champion's loss, or its distance from one.
    """
    left = old if task.lower_is_better else 1 - old
    gain = old - new if task.lower_is_better else new - old
    share = gain / left if left > 0 else 0.0
    passed = share <= bounds.implausible
    words = "plausible" if passed else "implausibly better, a feature may contain the outcome"
    return Guard("plausibility", share, bounds.implausible, passed, words)


def baselines(report: Report, champion: Candidate | None) -> Guard:
    """Guard against a baseline that is better beyond noise, and was not before."""
    behind = [comparison for comparison in compare_with_baselines(report) if comparison.high < 0]
    if champion is not None and champion.recorded:
        behind = [each for each in behind if each.baseline not in champion.behind]
    elif champion is not None and behind:
        sign = 1 if report.task.lower_is_better else -1
        level = champion.report.primary(FORESELL)
        behind = [c for c in behind if sign * (level - report.primary(c.baseline)) < 0]
    worst = max((-comparison.gain for comparison in behind), default=0.0)
    names = ", ".join(comparison.baseline for comparison in behind)
    words = f"behind {names}" if names else "no baseline is better beyond noise"
    if champion is not None and names:
        words += ", which the champion is not"
    return Guard("baselines", worst, 0.0, not behind, words)
