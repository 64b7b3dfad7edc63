"""Paired comparison of two models on the same folds: losses in, the gain and its noise out."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.typing import Floats
from training.backtest import FORESELL, Report
from training.measurements import PAIRED_DRAWS
from training.metrics import bootstrap_interval
from training.retraining.bounds import Bounds
from training.standing import Z95


@dataclass(frozen=True)
class Comparison:
    """How much better a challenger is than the champion.

    Attributes
    ----------
    champion, challenger
        Primary metric of both, mean over folds.
    gain
        By how much the challenger is better; negative if it is worse.
    error
        Standard error of the gain; None where neither cases nor several folds show the noise.
    quantile
        Two-sided 95 % quantile of the gain in standard errors.
    folds, cases
        What was compared; no cases where they do not pair.
    """

    champion: float
    challenger: float
    gain: float
    error: float | None
    quantile: float
    folds: int
    cases: int

    def is_better(self, bounds: Bounds) -> bool:
        """Return whether the challenger is better beyond noise, and not marginally by one fold."""
        if self.error is None:
            return self.gain > bounds.clearly_better * abs(self.champion)
        least = bounds.single_fold_gain * abs(self.champion) if self.folds == 1 else 0.0
        return self.gain > max(self.quantile * self.error, least)

    def is_worse(self, bounds: Bounds) -> bool:
        """Return whether the challenger is worse by more than the tolerated noise."""
        return self.gain < -bounds.worse_errors * (self.error or 0.0)

    def describe(self, metric: str) -> str:
        """Return both means, and the noise."""
        noise = "no noise known" if self.error is None else f"noise {self.error:.4f}"
        means = f"{self.challenger:.4f} against the champion's {self.champion:.4f}"
        return f"mean {metric} {means}, {noise}"


def compare(challenger: Report, champion: Report) -> Comparison | None:
    """Compare two backtests on the same folds; None if no fold has the primary metric.

    Notes
    -----
    The variance of the mean gain is the larger one of two estimates: that of the gains within the
    folds, bootstrapped over paired cases (customers or series), and that of the gains between the
    folds. Without cases, the few folds are accounted for by Student's t.
    """
    sign = 1 if challenger.task.lower_is_better else -1
    new, old = challenger.by_fold(FORESELL), champion.by_fold(FORESELL)
    if not new or len(new) != len(old):
        return None
    gains = [sign * (before - now) for now, before in zip(new, old, strict=True)]
    folds = len(gains)
    between = statistics.stdev(gains) / math.sqrt(folds) if folds > 1 else None
    within, cases = _error_over_cases(challenger.losses, champion.losses, folds)
    errors = [error for error in (between, within) if error is not None]
    quantile = Z95 if within is not None or folds < 2 else _students_quantile(folds)
    return Comparison(
        champion=statistics.fmean(old),
        challenger=statistics.fmean(new),
        gain=statistics.fmean(gains),
        error=max(errors, default=None),
        quantile=quantile,
        folds=folds,
        cases=cases,
    )


def _students_quantile(folds: int) -> float:
    from scipy.stats import t  # slow to import, and few comparisons need it

    return float(t.ppf(0.975, folds - 1))


def _error_over_cases(
    challenger: Sequence[Floats], champion: Sequence[Floats], folds: int
) -> tuple[float | None, int]:
    """Return the standard error of the mean gain over folds by paired cases, and their number."""
    pairs = list(zip(challenger, champion, strict=False))
    if len(pairs) < folds or any(len(new) != len(old) for new, old in pairs):
        return None, 0
    widths, cases = [], 0
    for new, old in pairs:
        gains = old - new
        counted = int((~np.isnan(gains)).sum())
        if counted < 2:
            return None, 0
        low, high = bootstrap_interval(gains, draws=PAIRED_DRAWS)
        widths.append(high - low)
        cases += counted
    return math.hypot(*widths) / (2 * Z95) / folds, cases
