"""Churn and next purchase against the methods that others use, on the same folds.

lifelines' Cox and Weibull AFT, BG/NBD, logistic regression on recency, frequency and money, and
LightGBM as it comes, beside the models here: three rolling origins of the bundled year. Value and
the next purchase by category stand beside their classics.

Run: python benchmarks/customers_peers.py
"""

import polars as pl
from results import record

from foresell.jobs import dataset_of
from foresell.settings import Settings
from training.backtest import FORESELL, evaluate
from training.registry import TASKS

FOLDS = 3
PACKAGES = ("lifelines", "lightgbm", "scikit-learn")
SHOWN = {
    "churn": ("log_loss", "roc_auc", "ece", "lift_10"),
    "next-purchase": ("pinball", "concordance", "ibs", "coverage_80", "auc_within_14"),
    "next-category": ("pinball", "auc_within_14", "ece_within_14", "coverage_80"),
    "value": ("mae_over_mean", "normalised_gini", "decile_error", "bias", "coverage_80"),
}


def main() -> None:
    """Print and record a table a task."""
    dataset = dataset_of(Settings())
    for name, metrics in SHOWN.items():
        task = TASKS[name]
        report = evaluate(task, dataset, FOLDS, options=task.options(dataset))
        rows = report.rows.filter(pl.col("slice") == task.primary_slice)
        means = (
            rows.group_by("method", "metric")
            .agg(pl.col("value").mean())
            .pivot(on="metric", index="method", values="value")
        )
        shown = [metric for metric in metrics if metric in means.columns]
        seconds = pl.DataFrame(
            {
                "method": list(report.seconds),
                "cpu_seconds": [spent / FOLDS for spent in report.seconds.values()],
            }
        )
        ours_first = pl.col("method") != FORESELL
        table = means.select("method", *shown).join(seconds, on="method")
        record(
            f"customers: {name}",
            table.sort(ours_first, shown[0]),
            command="python benchmarks/customers_peers.py",
            packages=PACKAGES,
            note=f"Mean of {FOLDS} rolling origins of {report.options['horizon_days']} days, "
            f"slice {task.primary_slice}; processor seconds to fit and predict once.",
        )


if __name__ == "__main__":
    main()
