"""How customer features and churn scores grow with the order lines: seconds and memory.

Order lines are generated (100 a customer, over a year) and written to Parquet; each size is a
process of its own, so that its peak memory is its own. 100 M lines take about 4 GB of disk.

Run: python benchmarks/customers_scale.py [millions of lines ...]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import narwhals as nw
import numpy as np
import polars as pl
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from training.customers.cutoffs import customer_features
from training.models.churn.model import ChurnModel

MILLIONS = (1, 3, 10)
LINES_A_CUSTOMER = 100
END = datetime(2025, 1, 1)
DAYS = 364
PART_LINES = 5_000_000
# Learnt from a part of the customers: more teach nothing new.
TAUGHT = 10_000


def generate(folder: Path, lines: int) -> None:
    """Write order lines of customers whose rates differ, ten lines or so a visit."""
    customers = lines // LINES_A_CUSTOMER
    for number, start in enumerate(range(0, lines, PART_LINES)):
        rng = np.random.default_rng(number)
        count = min(PART_LINES, lines - start)
        first = start // LINES_A_CUSTOMER
        who = first + rng.integers(
            0, max(1, min(customers - first, count // LINES_A_CUSTOMER)), count
        )
        visit = rng.integers(0, 10, count)
        day = to_day(END) - 1 - ((who * 7919 + visit * visit * 31) % DAYS).astype(np.int32)
        frame = pl.DataFrame(
            {
                "customer_id": pl.Series(who).cast(pl.String),
                "order_id": pl.Series(who * 10 + visit).cast(pl.String),
                "line": pl.Series(np.arange(count) % 10, dtype=pl.Int32),
                "day": pl.Series(day, dtype=pl.Int32),
                "quantity": np.ones(count),
                "revenue": rng.gamma(2.0, 3.0, count).round(2),
                "kind": ["sale"] * count,
            }
        ).with_columns(
            ts=(pl.from_epoch(pl.col("day").cast(pl.Int64) * 86400) + timedelta(hours=12)).cast(
                pl.Datetime("us")
            )
        )
        frame.write_parquet(folder / f"{number}.parquet")


def measure(folder: Path) -> dict[str, float]:
    """Compute features of all customers, and score them with a model taught by some."""
    orders = pl.scan_parquet(folder / "*.parquet")
    dataset = Dataset("scale", "scale", {"orders": nw.from_native(orders)})
    started = time.perf_counter()
    features = customer_features(dataset, END)
    of_features = time.perf_counter() - started
    some = features.get_column("customer_id").head(TAUGHT)
    part = orders.filter(pl.col("customer_id").is_in(some.to_list())).collect()
    model = ChurnModel(cutoffs=4, members=1).fit(Dataset.from_frames("part", {"orders": part}), END)
    started = time.perf_counter()
    model.predict_from(features)
    return {
        "customers": features.height,
        "features_seconds": of_features,
        "scoring_seconds": time.perf_counter() - started,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main(millions: list[float]) -> None:
    """Measure each size in a process of its own; print and record the curve."""
    rows = []
    for size in millions:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), int(size * 1_000_000))
            command = [sys.executable, __file__, "--of", folder]
            found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            rows.append({"million_lines": size, **json.loads(found.stdout.splitlines()[-1])})
    record(
        "customers: features and scores by size",
        pl.DataFrame(rows),
        command=f"python benchmarks/customers_scale.py {' '.join(f'{one:g}' for one in millions)}",
        packages=("polars", "lightgbm"),
        note="Generated lines, 100 a customer, over a year; seconds are of the wall, on two cores "
        "that others use too. The peak holds features and scores.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        main([float(one) for one in sys.argv[1:]] or list(MILLIONS))
