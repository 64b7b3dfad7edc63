"""Bottom-up totals compared with totals reconciled with forecasts at coarser grains.

Reconciliation is by weighted least squares (Wickramasuriya et al. 2019, WLS_v) in gain form: the
difference between a coarse forecast and the sum of its series is divided among the series in
proportion to their variances. Totals are sums of series in both cases.

Run: python benchmarks/demand_reconciled.py [HOME]
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from demand_cases import after_weeks, has_shared_data, journey, ta_feng
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import selling_series, units_matrix
from features.typing import Floats, Ints
from training import metrics
from training.models.demand.model import DemandModel
from training.models.demand.reconciliation import membership

BOTTOM, WEEKS = Grain.parse("product:week"), 8
LEVELS = ("category", "department")
# Distance from q10 to q90 of a normal distribution, in standard deviations.
_DECILE_RANGE = 2.563


def forecast(dataset: Dataset, grain: Grain, origin: datetime, days: int) -> pl.DataFrame:
    """Fit a model of the grain and forecast all selling series."""
    model = DemandModel(grain=str(grain), horizon_days=days).fit(dataset, origin)
    return model.predict(dataset, origin, selling_series(dataset, grain, origin))


def moments(forecasts: pl.DataFrame, periods: int) -> tuple[Floats, Floats]:
    """Return means and variances, each of shape (series, periods)."""
    mean = forecasts["mean"].to_numpy()
    deviation = ((forecasts["q90"] - forecasts["q10"]) / _DECILE_RANGE).to_numpy()
    variance = np.maximum(deviation**2, np.maximum(mean, 1e-6))
    return mean.reshape(-1, periods), variance.reshape(-1, periods)


def reconcile(
    mean: Floats, variance: Floats, group: Ints, coarse_mean: Floats, coarse_variance: Floats
) -> Floats:
    """Adjust series to the forecasts of one coarser level, to zero or more.

    Parameters
    ----------
    mean, variance
        Of the series; shape (series, periods).
    group
        Row of each series in the coarse forecasts; -1 without one.
    coarse_mean, coarse_variance
        Of the coarser level; shape (groups, periods).
    """
    count = len(coarse_mean)
    sums, variances = (_sum_by_group(values, group, count) for values in (mean, variance))
    gain = (coarse_mean - sums) / (variances + coarse_variance)
    return np.maximum(mean + variance * np.where(group[:, None] >= 0, gain[group], 0.0), 0.0)


def _sum_by_group(values: Floats, group: Ints, count: int) -> Floats:
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, group[group >= 0], values[group >= 0])
    return sums


def compare(name: str, dataset: Dataset, origin: datetime, days: int) -> list[dict[str, object]]:
    """Evaluate bottom-up and reconciled forecasts at one origin."""
    periods, day = days // 7, to_day(origin)
    bottom = forecast(dataset, BOTTOM, origin, days)
    keys = bottom.select(BOTTOM.keys).unique(maintain_order=True)
    mean, variance = moments(bottom, periods)
    truth = units_matrix(dataset, BOTTOM, day, periods, keys)
    methods, groups = {"bottom-up": mean}, {}
    for level in LEVELS:
        if not dataset.has("products", level):
            continue
        grain = Grain.parse(f"{level}:week")
        coarse = forecast(dataset, grain, origin, days)
        coarse_rows = coarse.select(grain.keys).unique(maintain_order=True).with_row_index("row")
        members = keys.join(
            membership(dataset, BOTTOM, level), on=BOTTOM.keys, how="left", maintain_order="left"
        ).join(coarse_rows, on=grain.keys, how="left", maintain_order="left")
        group = members["row"].cast(pl.Int64).fill_null(-1).to_numpy()
        coarse_mean, coarse_variance = moments(coarse, periods)
        groups[level] = (group, len(coarse_mean))
        reconciled = reconcile(mean, variance, group, coarse_mean, coarse_variance)
        methods[f"reconciled with {level}"] = reconciled
    rows = []
    for method, predicted in methods.items():
        row: dict[str, object] = {"records": name, "origin": str(origin.date()), "method": method}
        row["series"] = metrics.wape(truth, predicted)
        for level, (group, count) in groups.items():
            row[level] = metrics.wape(*(_sum_by_group(v, group, count) for v in (truth, predicted)))
        row["all"] = metrics.wape(truth.sum(axis=0), predicted.sum(axis=0))
        row["bias"] = metrics.bias(truth, predicted)
        rows.append(row)
    return rows


def main() -> None:
    """Print and record the table."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".foresell")
    bundled = journey(home)
    rows = [
        row
        for origin in after_weeks(28, 36, 44)
        for row in compare("bundled", bundled, origin, 7 * WEEKS)
    ]
    if has_shared_data():
        log = ta_feng()
        for weeks in (4, 3, 2):
            rows += compare("Ta-Feng", log, log.end - timedelta(weeks=weeks), 14)
    record(
        "Demand: totals bottom-up and reconciled",
        pl.DataFrame(rows, infer_schema_length=None),
        command="python benchmarks/demand_reconciled.py",
        packages=("lightgbm", "polars", "numpy"),
        note="WAPE of the series, of totals by category and department, and of the sum of all "
        "series, over the products with a sale in the half year before the origin.",
    )


if __name__ == "__main__":
    main()
