"""Bottom-up totals against totals reconciled with forecasts made at the coarser grains.

Run: python benchmarks/demand_reconciled.py [HOME]
Weighted least squares (Wickramasuriya et al. 2019, their WLS_v) in its gain form: each series is
moved by its share of what a coarser forecast says otherwise, in proportion to variances. Totals
are sums of the series in both cases.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from demand_cases import after_weeks, journey, ta_feng
from numpy.typing import NDArray
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import selling_series, units_matrix
from training import metrics
from training.models.demand.model import DemandModel
from training.models.demand.reconciliation import membership

Floats = NDArray[np.float64]
BOTTOM, WEEKS = Grain.parse("product:week"), 8
# From the lowest decile to the highest in standard deviations of a normal distribution.
_DECILES = 2.563


def forecasts(dataset: Dataset, grain: Grain, origin: datetime, days: int) -> pl.DataFrame:
    """Forecast all that sold of late, by a model of that grain."""
    model = DemandModel(grain=str(grain), horizon_days=days).fit(dataset, origin)
    return model.predict(dataset, origin, selling_series(dataset, grain, origin))


def laid_out(forecast: pl.DataFrame, periods: int) -> tuple[Floats, Floats]:
    """Return means and variances, shape (series, periods)."""
    mean = forecast["mean"].to_numpy()
    spread = ((forecast["q90"] - forecast["q10"]) / _DECILES).to_numpy()
    variance = np.maximum(spread**2, np.maximum(mean, 1e-6))
    return mean.reshape(-1, periods), variance.reshape(-1, periods)


def reconciled(
    mean: Floats, variance: Floats, member: NDArray[np.int64], above: Floats, doubt: Floats
) -> Floats:
    """Move series towards what one coarser level says of their sums; never below zero."""
    count = len(above)
    sums, spread = (_summed(values, member, count) for values in (mean, variance))
    gain = (above - sums) / (spread + doubt)
    return np.maximum(mean + variance * np.where(member[:, None] >= 0, gain[member], 0.0), 0.0)


def _summed(values: Floats, member: NDArray[np.int64], count: int) -> Floats:
    found = np.zeros((count, values.shape[1]))
    np.add.at(found, member[member >= 0], values[member >= 0])
    return found


def compared(name: str, dataset: Dataset, origin: datetime, days: int) -> list[dict[str, object]]:
    """Judge each way of making totals at one origin."""
    periods, day = days // 7, to_day(origin)
    bottom = forecasts(dataset, BOTTOM, origin, days)
    keys = bottom.select(BOTTOM.keys).unique(maintain_order=True)
    mean, variance = laid_out(bottom, periods)
    truth = units_matrix(dataset, BOTTOM, day, periods, keys)
    methods, members = {"bottom-up": mean}, {}
    for level in ("category", "department"):
        if not dataset.has("products", level):
            continue
        grain = Grain.parse(f"{level}:week")
        coarse = forecasts(dataset, grain, origin, days)
        rows = coarse.select(grain.keys).unique(maintain_order=True).with_row_index("row")
        named = keys.join(
            membership(dataset, BOTTOM, level), on=BOTTOM.keys, how="left", maintain_order="left"
        ).join(rows, on=grain.keys, how="left", maintain_order="left")
        member = named["row"].cast(pl.Int64).fill_null(-1).to_numpy()
        above, doubt = laid_out(coarse, periods)
        members[level] = (member, len(above))
        methods[f"reconciled with {level}"] = reconciled(mean, variance, member, above, doubt)
    rows_ = []
    for method, said in methods.items():
        row: dict[str, object] = {"records": name, "origin": str(origin.date()), "method": method}
        row["series"] = metrics.wape(truth, said)
        for level, (member, count) in members.items():
            row[level] = metrics.wape(*(_summed(v, member, count) for v in (truth, said)))
        row["all"] = metrics.wape(truth.sum(axis=0), said.sum(axis=0))
        row["bias"] = metrics.bias(truth, said)
        rows_.append(row)
    return rows_


def main() -> None:
    """Print and record the table."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".foresell")
    shop, log = journey(home), ta_feng()
    rows = [
        row
        for origin in after_weeks(28, 36, 44)
        for row in compared("bundled", shop, origin, 7 * WEEKS)
    ]
    for weeks in (4, 3, 2):
        rows += compared("Ta-Feng", log, log.end - timedelta(weeks=weeks), 14)
    record(
        "Demand: totals bottom-up and reconciled",
        pl.DataFrame(rows, infer_schema_length=None),
        command="python benchmarks/demand_reconciled.py",
        packages=("lightgbm", "polars", "numpy"),
        note="WAPE of the series, of totals by category and department, and of the whole, over "
        "all products that sold in the half year before.",
    )


if __name__ == "__main__":
    main()
