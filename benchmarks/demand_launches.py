"""Forecasts of products before their first sale, against the plain mean of former launches.

Run: python benchmarks/demand_launches.py [HOME]
Products that first sold within 8 weeks after an origin, from the week of their first sale on:
the records do not tell when a product was put on the shelf.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from demand_cases import after_weeks, journey, ta_feng
from numpy.typing import NDArray
from results import record
from scipy import stats

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.cold_start import Analogues
from features.demand.grain import Grain
from features.demand.series import all_series, units_matrix
from training import metrics
from training.models.demand.distribution import QUANTILES, negative_binomial_quantiles

Floats = NDArray[np.float64]
WEEKLY = Grain.parse("product:week")
STEPS = 8


def compared(name: str, dataset: Dataset, origin: datetime) -> list[dict[str, object]]:
    """Judge look-alikes, and the mean of the category's launches, on the same products."""
    day = to_day(origin)
    index = all_series(dataset, WEEKLY).index.collect().to_polars()
    begun = pl.col("first_day").is_between(day, day + 7 * STEPS - 1)
    new = index.filter(begun).sort(WEEKLY.keys)
    known = (dataset.days[1] + 1 - day) // 7
    units = units_matrix(dataset, WEEKLY, day, known, new)
    week = (new["first_day"].to_numpy()[:, None] - day) // 7 + np.arange(STEPS)
    seen = week < known
    truth = np.take_along_axis(units, np.minimum(week, known - 1), axis=1)[seen]
    launches = Analogues.fit(dataset, WEEKLY, origin, STEPS)
    alike = launches.forecast(new.select(WEEKLY.keys))
    flat = np.repeat(alike.mean.mean(axis=1), STEPS).reshape(alike.mean.shape)[seen]
    mean, ratio = alike.mean[seen], alike.ratio[seen]
    chance = np.column_stack([stats.poisson.ppf(level, flat) for level in QUANTILES])
    methods = {
        "look-alikes": (mean, negative_binomial_quantiles(mean, ratio, QUANTILES)),
        "mean of the category's launches": (flat, chance),
    }
    about = {"records": name, "origin": str(origin.date()), "products": new.height}
    return [{**about, "method": m, **_scores(truth, *said)} for m, said in methods.items()]


def _scores(truth: Floats, mean: Floats, quantiles: Floats) -> dict[str, float]:
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
    shop, log = journey(home), ta_feng()
    rows = [one for at in after_weeks(28, 36, 44) for one in compared("bundled", shop, at)]
    for weeks in (4, 8):
        rows += compared("Ta-Feng", log, log.end - timedelta(weeks=weeks))
    record(
        "Demand: products before their first sale, by week",
        pl.DataFrame(rows),
        command="python benchmarks/demand_launches.py",
        packages=("polars", "scipy"),
        note="Eight weeks from the week of the first sale. Units are few and whole: q10 is "
        "mostly 0, below which nothing lies. The plain mean has the interval of a Poisson.",
    )


if __name__ == "__main__":
    main()
