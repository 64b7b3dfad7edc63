"""How a model stands beside its baselines on one dataset: a backtest in, words for people out.

The words go with the version: into MLflow, the record of the published version and every answer.
"""

import math
import statistics
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from training.backtest import Report

# Two-sided 95 % quantile of the normal distribution.
Z95 = 1.96


class Standing(BaseModel):
    """Whether a version was compared with its baselines, and the result.

    Attributes
    ----------
    judged
        Whether it was backtested.
    behind
        Baselines that are better beyond noise, the best first.
    words
        The result, or why there is none, to be read behind "the model is".
    """

    model_config = ConfigDict(frozen=True)

    judged: bool = False
    behind: tuple[str, ...] = ()
    words: str = ""

    def describe(self, version: str) -> str:
        """Return one sentence on a version; empty where older code left no words."""
        return f"{version} is {self.words}" if self.words else ""


UNJUDGED = Standing(words="not judged yet")


class Comparison(BaseModel):
    """Share by which the model's primary metric is better than a baseline's, with its interval."""

    baseline: str
    gain: float
    low: float
    high: float

    def describe(self) -> str:
        """Return on which side of the baseline the model stands, and by how much."""
        name = self.baseline
        # Adding 0 turns -0.0 into 0.0.
        percent = [round(100 * value, 1) + 0.0 for value in (self.gain, self.low, self.high)]
        if self.low > 0:
            return "ahead of {} by {:.1f} % [{:.1f}, {:.1f}]".format(name, *percent)
        if self.high < 0:
            gain, low, high = percent
            return f"behind {name} by {-gain:.1f} % [{-high:.1f}, {-low:.1f}]"
        return "level with {} ({:+.1f} % [{:.1f}, {:.1f}])".format(name, *percent)


def compare(report: "Report") -> list[Comparison]:
    """Compare the model with each baseline over all folds, the best baseline first.

    Baselines without a paired comparison, or whose metric is 0, are left out.

    Notes
    -----
    The variance of the mean gain is the larger one of two estimates: that of the gains within the
    folds, from their intervals over cases, and that of the gains between the folds.
    """
    task = report.task
    sign = -1 if task.lower_is_better else 1
    paired = report.rows.filter(pl.col("slice").str.starts_with("against="))
    comparisons = []
    for baseline, level in report.summary().select("method", "value").iter_rows():
        rows = paired.filter(slice=f"against={baseline}").sort("fold")
        gains, lows, highs = (
            rows.filter(metric=f"{task.primary}_{name}").get_column("value").to_list()
            for name in ("gain", "gain_low", "gain_high")
        )
        if not gains or not level:
            continue
        widths = [high - low for low, high in zip(lows, highs, strict=True)]
        margin = math.hypot(*widths) / 2 / len(gains)
        if len(gains) > 1:
            between = statistics.stdev(gains) / math.sqrt(len(gains))
            margin = max(margin, Z95 * between)
        gain = sign * statistics.fmean(gains)
        shares = [value / level for value in (gain, gain - margin, gain + margin)]
        comparisons.append(
            Comparison(baseline=baseline, gain=shares[0], low=shares[1], high=shares[2])
        )
    return comparisons


def judge(report: "Report") -> Standing:
    """Say how the model of a backtest stands beside the best baseline and those that beat it."""
    compared = compare(report)
    behind = [comparison for comparison in compared if comparison.high < 0]
    # The best baseline is not beyond noise where another one is: both are named.
    named = {comparison.baseline: comparison for comparison in [*behind, *compared[:1]]}
    folds, days = len(report.origins), report.options["horizon_days"]
    windows = f"{folds} window{'' if folds == 1 else 's'} of {days} days"
    stands = " and ".join(comparison.describe() for comparison in named.values())
    words = f"{stands or 'judged without a baseline to compare with'} in {report.task.primary}"
    words += f" over {windows}"
    if behind:
        words += "; it answers all the same"
    return Standing(
        judged=True, behind=tuple(comparison.baseline for comparison in behind), words=words
    )
