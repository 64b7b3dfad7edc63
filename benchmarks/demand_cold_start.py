"""Forecasts of products before their first sale, by analogues and by a mean of the category.

Evaluates the products whose first sale is within eight weeks after an origin, from the week of
that sale on, because the records do not say when a product was listed.

Run: python benchmarks/demand_cold_start.py [HOME]
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from demand_cases import after_weeks, has_shared_data, journey, ta_feng
from results import record
from scipy import stats

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.cold_start import Analogues
from features.demand.grain import Grain
from features.demand.series import all_series, units_matrix
from features.typing import Floats
from training import metrics
from training.models.demand.quantiles import QUANTILES, negative_binomial_quantiles

WEEKLY = Grain.parse("product:week")
STEPS = 8


def compare(name: str, dataset: Dataset, origin: datetime) -> list[dict[str, object]]:
    """Evaluate analogues and the mean of the category's new products at one origin."""
    day = to_day(origin)
    index = all_series(dataset, WEEKLY).index.collect().to_polars()
    is_new = pl.col("first_day").is_between(day, day + 7 * STEPS - 1)
    new = index.filter(is_new).sort(WEEKLY.keys)
    weeks_known = (dataset.days[1] + 1 - day) // 7
    units = units_matrix(dataset, WEEKLY, day, weeks_known, new)
    week = (new["first_day"].to_numpy()[:, None] - day) // 7 + np.arange(STEPS)
    observed = week < weeks_known
    truth = np.take_along_axis(units, np.minimum(week, weeks_known - 1), axis=1)[observed]
    sales = Analogues.fit(dataset, WEEKLY, origin, STEPS).forecast(new.select(WEEKLY.keys))
    mean, ratio = sales.mean[observed], sales.ratio[observed]
    flat = np.repeat(sales.mean.mean(axis=1), STEPS).reshape(sales.mean.shape)[observed]
    poisson = np.column_stack([stats.poisson.ppf(level, flat) for level in QUANTILES])
    forecasts = {
        "analogues": (mean, negative_binomial_quantiles(mean, ratio, QUANTILES)),
        "mean of the category's new products": (flat, poisson),
    }
    key = {"records": name, "origin": str(origin.date()), "products": new.height}
    return [
        {**key, "method": method, **_metrics(truth, *forecast)}
        for method, forecast in forecasts.items()
    ]


def _metrics(truth: Floats, mean: Floats, quantiles: Floats) -> dict[str, float]:
    losses = [metrics.pinball(truth, quantiles[:, i], q) for i, q in enumerate(QUANTILES)]
    return {
        "WAPE": metrics.wape(truth, mean),
        "bias": metrics.bias(truth, mean),
        "pinball": float(np.mean(losses) / truth.mean()),
        "coverage": metrics.coverage(truth, quantiles[:, 0], quantiles[:, -1]),
        "below q10": float((truth < quantiles[:, 0]).mean()),
        "above q90": float((truth > quantiles[:, -1]).mean()),
    }


def main() -> None:
    """Print and record the table."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".foresell")
    bundled = journey(home)
    rows = [
        row for origin in after_weeks(28, 36, 44) for row in compare("bundled", bundled, origin)
    ]
    if has_shared_data():
        log = ta_feng()
        for weeks in (4, 8):
            rows += compare("Ta-Feng", log, log.end - timedelta(weeks=weeks))
    record(
        "Demand: products before their first sale, by week",
        pl.DataFrame(rows),
        command="python benchmarks/demand_cold_start.py",
        packages=("polars", "scipy"),
        note="Eight weeks from the week of the first sale. Sales are small integers: q10 is "
        "mostly 0, and no sales lie below it. The category mean has a Poisson interval.",
    )


if __name__ == "__main__":
    main()
