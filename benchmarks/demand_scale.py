"""CPU time and memory of the demand model by number of series and by number of training rows.

Sales of 1,000 to 30,000 daily series over two years, with promotions, are generated. Each size
runs in its own process, so that peak memory is measured separately.

Run: python benchmarks/demand_scale.py
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

FIRST_DAY = 17_000
DAYS = 730
SIZES = (1_000, 5_000, 30_000)
HORIZON_DAYS = 28
MILLION = 1_000_000
BLOCK = 5_000  # series generated together
LOCATIONS = 10


def generate(series: int) -> Dataset:
    """Generate daily sales by product and location, with weekday effects and promotions."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 1.5, series) + 0.1
    weekday_effect = np.array([0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 1.1])
    promoted = rng.random((series, DAYS // 7 + 1)) < 0.05
    parts = []
    for start in range(0, series, BLOCK):
        block = slice(start, start + BLOCK)
        lift = np.where(np.repeat(promoted[block], 7, axis=1)[:, :DAYS], 2.0, 1.0)
        mean = rate[block, None] * weekday_effect[np.arange(DAYS) % 7] * lift
        units = rng.poisson(mean).astype(np.float64)
        row, day = np.nonzero(units)
        parts.append(
            pl.DataFrame(
                {
                    "product_id": pl.Series((row + start) // LOCATIONS).cast(pl.String),
                    "location_id": pl.Series((row + start) % LOCATIONS).cast(pl.String),
                    "day": (FIRST_DAY + day).astype(np.int32),
                    "quantity": units[row, day],
                }
            )
        )
    row, week = np.nonzero(promoted)
    promotions = pl.DataFrame(
        {
            "product_id": pl.Series(row // LOCATIONS).cast(pl.String),
            "location_id": pl.Series(row % LOCATIONS).cast(pl.String),
            "kind": "mailer",
            "from_day": (FIRST_DAY + 7 * week).astype(np.int32),
            "to_day": (FIRST_DAY + 7 * week + 7).astype(np.int32),
        }
    )
    return Dataset.from_frames("generated", {"sales": pl.concat(parts), "promotions": promotions})


def measure(series: int, rows: int) -> dict[str, float]:
    """Measure one size: CPU seconds of each step, row counts and peak memory."""
    dataset, grain = generate(series), Grain.parse("product,location:day")
    as_of = datetime(1970, 1, 1) + timedelta(days=FIRST_DAY + DAYS)
    measured: dict[str, float] = {"series": series}
    timer = _CpuTimer()
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    measured["aggregate sales"] = timer.lap()
    features = demand(dataset, grain, as_of, HORIZON_DAYS).collect().to_native()
    measured["features"], feature_rows = timer.lap(), features.height
    del features
    sample = Sample(rows, 0, "US")
    sampled = training_rows(dataset, grain, to_day(as_of), HORIZON_DAYS, sample)
    measured["training rows"] = sampled.height
    del sampled
    measured["training features"] = timer.lap()
    model = DemandModel(grain=str(grain), horizon_days=HORIZON_DAYS, rows=rows).fit(dataset, as_of)
    measured["fit with features"] = timer.lap()
    forecasts = model.predict(dataset, as_of, keys)
    measured["forecast with features"] = timer.lap()
    measured["forecasts"] = min(forecasts.height, feature_rows)
    measured["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return measured


class _CpuTimer:
    """Measures CPU seconds between laps."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def lap(self) -> float:
        """Return CPU seconds since the previous lap."""
        now = time.process_time()
        seconds, self._last = now - self._last, now
        return seconds


def main() -> None:
    """Measure all sizes, and one fit on a million rows; print and record the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, nargs=2, help="series and rows; print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    measured = []
    default = ROWS["day"]
    for series, rows in [*((size, default) for size in SIZES), (5_000, MILLION)]:
        command = [sys.executable, __file__, "--one", str(series), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        measured.append(json.loads(done.stdout.splitlines()[-1]))
    record(
        "Demand: CPU seconds by size",
        pl.DataFrame(measured),
        command="python benchmarks/demand_scale.py",
        packages=("lightgbm", "polars", "numpy"),
        note="Generated daily series over two years, 28 days ahead. The last row fits on a "
        "million training rows. Fit and forecast include their features.",
    )


if __name__ == "__main__":
    main()
