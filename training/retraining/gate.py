"""The promotion gate: backtests of a challenger and the champion in, a verdict with reasons out."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from training.backtest import FORESELL
from training.retraining.bounds import Bounds
from training.retraining.comparison import Comparison, compare
from training.retraining.guards import Candidate, Guard, guards, plausibility

DEFAULTS = Bounds()


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes the champion.

    Attributes
    ----------
    promoted, reason
        The decision, and what led to it.
    comparison
        Paired comparison with the champion; None without a champion or without folds.
    guards
        All guards, those that passed included.
    """

    promoted: bool
    reason: str
    comparison: Comparison | None = None
    guards: tuple[Guard, ...] = ()

    @property
    def failing(self) -> list[Guard]:
        """The guards that did not pass."""
        return [guard for guard in self.guards if not guard.passed]


def decide(
    challenger: Candidate,
    champion: Candidate | None,
    *,
    newer: bool,
    bounds: Bounds = DEFAULTS,
) -> Verdict:
    """Decide whether a challenger becomes the champion.

    A challenger on newer records must not be worse than the champion beyond noise, because newer
    records are the reason to train again. One on the same records has only its difference to offer
    and must be better beyond noise; so must a changed model that a single fold compares. Without a
    champion the guards are measured but only outputs that are not finite refuse.

    Parameters
    ----------
    champion
        The champion's options refitted on the folds of the challenger; the same report where they
        are the challenger's. None if there is no champion.
    newer
        Whether the challenger was trained on other records than the champion.
    """
    task = challenger.report.task
    unmeasured = Verdict(promoted=False, reason=f"no fold has a {task.primary} to compare by")
    if not challenger.report.by_fold(FORESELL):
        return unmeasured
    measured = guards(challenger, champion, bounds)
    if champion is None:
        absurd = [guard for guard in measured if guard.name == "outputs" and not guard.passed]
        reason = absurd[0].reason if absurd else "there was no champion"
        return Verdict(not absurd, reason, guards=tuple(measured))
    comparison = compare(challenger.report, champion.report)
    if comparison is None:
        return unmeasured
    # The champion's own record counts where its code can no longer be run.
    levels = [comparison.champion, *([fmean(champion.recorded)] if champion.recorded else [])]
    plausible = [plausibility(task, comparison.challenger, level, bounds) for level in levels]
    measured.append(max(plausible, key=lambda guard: guard.value))
    changed = challenger.report is not champion.report
    must_be_better = not newer or (changed and comparison.folds == 1)
    reasons = [
        *_refusals(comparison, bounds, must_be_better=must_be_better),
        *(f"{guard.name}: {guard.reason}" for guard in measured if not guard.passed),
    ]
    equal = "not worse" if changed else "the same model on newer records"
    standing = "better" if comparison.is_better(bounds) else equal
    words = f"{'; '.join(reasons) or standing}: {comparison.describe(task.primary)}"
    return Verdict(not reasons, words, comparison, tuple(measured))


def _refusals(comparison: Comparison, bounds: Bounds, *, must_be_better: bool) -> Iterator[str]:
    """Yield why the primary metric speaks against the challenger, if it does."""
    if comparison.is_worse(bounds):
        yield "worse beyond noise"
    elif must_be_better and not comparison.is_better(bounds):
        yield "not better beyond noise"
