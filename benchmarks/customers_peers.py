"""The four customer models compared with their baselines on the same rolling origins.

Baselines are Cox and AFT models of lifelines, BG/NBD models, logistic regression on recency,
frequency and spend, and LightGBM with default options. One table per task on the bundled dataset.

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
# Metrics of each task, in the order of columns; methods are sorted by the first.
METRICS = {
    "churn": ("log_loss", "roc_auc", "ece", "lift_10"),
    "next-purchase": ("pinball", "concordance", "ibs", "coverage_80", "auc_within_14"),
    "next-category": ("pinball", "auc_within_14", "ece_within_14", "coverage_80"),
    "value": ("mae_over_mean", "normalised_gini", "decile_error", "bias", "coverage_80"),
}


def main() -> None:
    """Print and record a table per task."""
    dataset = dataset_of(Settings())
    for name, metrics in METRICS.items():
        task = TASKS[name]
        report = evaluate(task, dataset, FOLDS, options=task.options(dataset))
        rows = report.rows.filter(pl.col("slice") == task.primary_slice)
        means = (
            rows.group_by("method", "metric")
            .agg(pl.col("value").mean())
            .pivot(on="metric", index="method", values="value")
        )
        measured = [metric for metric in metrics if metric in means.columns]
        seconds = pl.DataFrame(
            {
                "method": list(report.seconds),
                "cpu_seconds": [total / FOLDS for total in report.seconds.values()],
            }
        )
        is_baseline = pl.col("method") != FORESELL
        table = means.select("method", *measured).join(seconds, on="method")
        record(
            f"Customers: {name}",
            table.sort(is_baseline, measured[0]),
            command="python benchmarks/customers_peers.py",
            packages=PACKAGES,
            note=f"Mean of {FOLDS} rolling origins of {report.options['horizon_days']} days, "
            f"slice {task.primary_slice}; CPU seconds to fit and predict once.",
        )


if __name__ == "__main__":
    main()
