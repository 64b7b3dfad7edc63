"""Bounds of the promotion gate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """What a challenger must keep to become the champion.

    Attributes
    ----------
    worse_errors
        Standard errors of the paired difference by which a challenger on newer records may be
        worse.
    single_fold_gain
        Share of the champion's primary metric by which a changed model must be better where one
        fold compares them.
    clearly_better
        The same where the fold has no cases that pair.
    implausible
        Share of the champion's remaining loss; a challenger that removes more has seen the future.
    collapse
        Share of the metric by which a challenger may be worse than what a champion of other code
        reached on other windows.
    calibration, calibration_slack
        Expected calibration error, or how much more than the champion's.
    coverage, coverage_slack
        Distance of the coverage of intervals from their level, or how much more than the
        champion's.
    bias, bias_slack
        Bias as a share of the level, or how much more than the champion's.
    slice_loss, slice_errors, slice_cases
        Share of the champion's metric by which a slice may be worse, beyond so many standard
        errors over folds, and cases from which on a slice counts.
    size, size_bytes
        Size of the model's files over the champion's; fewer bytes more never count.
    latency, latency_seconds
        CPU time of a hundred predictions over the champion's; fewer seconds more never count.
    drift_noted, drift
        Population stability index of a main feature from which on it is named, and from which on
        it refuses: such a shift is a broken source rather than a changed shop.
    cold_start
        By how much the share of entities with little or no history may grow.
    """

    worse_errors: float = 1.0
    single_fold_gain: float = 0.01
    clearly_better: float = 0.10
    implausible: float = 0.5
    collapse: float = 0.5
    calibration: float = 0.05
    calibration_slack: float = 0.02
    coverage: float = 0.10
    coverage_slack: float = 0.02
    bias: float = 0.15
    bias_slack: float = 0.03
    slice_loss: float = 0.10
    slice_errors: float = 2.0
    slice_cases: int = 100
    size: float = 2.0
    size_bytes: int = 5_000_000
    latency: float = 3.0
    latency_seconds: float = 0.05
    drift_noted: float = 0.25
    drift: float = 1.0
    cold_start: float = 0.10
