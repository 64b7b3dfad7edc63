"""Processor seconds and memory of the demand model by the number of series, and by rows.

Run: python benchmarks/demand_scale.py
Generated shops: 5,000 series and more over two years of days, with promotions. Each size runs in
a process of its own, so that the peak of memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.grain import Grain
from features.demand.series import all_series
from training.models.demand.model import DemandModel
from training.models.demand.training_rows import ROWS, Sample, training_rows

FIRST = 17_000
DAYS = 730
SIZES = (1_000, 5_000, 30_000)
HORIZON_DAYS = 28
MILLION = 1_000_000


def generated(series: int) -> Dataset:
    """Generate daily sales of products at ten locations that a weekday and promotions move."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 1.5, series) + 0.1
    week = np.array([0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 1.1])
    promoted = rng.random((series, DAYS // 7 + 1)) < 0.05
    parts = []
    for start in range(0, series, 5_000):
        own = slice(start, start + 5_000)
        lifted = np.where(np.repeat(promoted[own], 7, axis=1)[:, :DAYS], 2.0, 1.0)
        mean = rate[own, None] * week[np.arange(DAYS) % 7] * lifted
        sold = rng.poisson(mean).astype(np.float64)
        row, day = np.nonzero(sold)
        parts.append(
            pl.DataFrame(
                {
                    "product_id": pl.Series((row + start) // 10).cast(pl.String),
                    "location_id": pl.Series((row + start) % 10).cast(pl.String),
                    "day": (FIRST + day).astype(np.int32),
                    "quantity": sold[row, day],
                }
            )
        )
    row, week_number = np.nonzero(promoted)
    plan = pl.DataFrame(
        {
            "product_id": pl.Series(row // 10).cast(pl.String),
            "location_id": pl.Series(row % 10).cast(pl.String),
            "kind": "mailer",
            "from_day": (FIRST + 7 * week_number).astype(np.int32),
            "to_day": (FIRST + 7 * week_number + 7).astype(np.int32),
        }
    )
    return Dataset.from_frames("generated", {"sales": pl.concat(parts), "promotions": plan})


def measure(series: int, rows: int) -> dict[str, float]:
    """Measure one size: series known, features of all, rows, fit, forecast of all."""
    dataset, grain = generated(series), Grain.parse("product,location:day")
    as_of = datetime(1970, 1, 1) + timedelta(days=FIRST + DAYS)
    found: dict[str, float] = {"series": series}
    spent = _Clock()
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    found["reduce records"] = spent()
    frame = demand(dataset, grain, as_of, HORIZON_DAYS).collect().to_native()
    found["features"], cells = spent(), frame.height
    del frame
    sample = Sample(rows, 0, "US")
    found["training rows"] = training_rows(
        dataset, grain, to_day(as_of), HORIZON_DAYS, sample
    ).height
    found["training features"] = spent()
    options = {"grain": str(grain), "horizon_days": HORIZON_DAYS, "rows": rows}
    model = DemandModel(**options).fit(dataset, as_of)
    found["fit with features"] = spent()
    answers = model.predict(dataset, as_of, keys)
    found["forecast with features"] = spent()
    found["cells"] = min(answers.height, cells)
    found["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return found


class _Clock:
    """Processor seconds since it was last asked."""

    def __init__(self) -> None:
        self.last = time.process_time()

    def __call__(self) -> float:
        now = time.process_time()
        spent, self.last = now - self.last, now
        return spent


def main() -> None:
    """Print the curve over sizes, and the fit of a million rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, nargs=2, help="series and rows; print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    rows = []
    default = ROWS["day"]
    for series, most in [*((size, default) for size in SIZES), (5_000, MILLION)]:
        command = [sys.executable, __file__, "--one", str(series), str(most)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    record(
        "Demand: processor seconds by size",
        pl.DataFrame(rows),
        command="python benchmarks/demand_scale.py",
        packages=("lightgbm", "polars", "numpy"),
        note="Generated daily series over two years, 28 days ahead. The last line fits on a "
        "million rows. Fit and forecast contain the features that they read.",
    )


if __name__ == "__main__":
    main()
