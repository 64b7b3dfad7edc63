"""Time and memory of customer features and churn probabilities by number of order lines.

Order lines (100 per customer, over a year) are generated and written to Parquet. Each size runs in
its own process, so that peak memory is measured separately. 100 million lines need about 4 GB of
disk.

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
LINES_PER_CUSTOMER = 100
VISITS = 10
END = datetime(2025, 1, 1)
DAYS = 364
LINES_PER_PART = 5_000_000
# The model is fitted on this many customers; the time to predict does not depend on it.
TRAINING_CUSTOMERS = 10_000


def generate(folder: Path, lines: int) -> None:
    """Write order lines of customers with ten visits each."""
    customers = lines // LINES_PER_CUSTOMER
    for number, start in enumerate(range(0, lines, LINES_PER_PART)):
        rng = np.random.default_rng(number)
        count = min(LINES_PER_PART, lines - start)
        first = start // LINES_PER_CUSTOMER
        in_part = max(1, min(customers - first, count // LINES_PER_CUSTOMER))
        customer = first + rng.integers(0, in_part, count)
        visit = rng.integers(0, VISITS, count)
        days_before = (customer * 7919 + visit * visit * 31) % DAYS
        day = to_day(END) - 1 - days_before.astype(np.int32)
        frame = pl.DataFrame(
            {
                "customer_id": pl.Series(customer).cast(pl.String),
                "order_id": pl.Series(customer * VISITS + visit).cast(pl.String),
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
    """Compute features of all customers, and predict with a model of some of them."""
    orders = pl.scan_parquet(folder / "*.parquet")
    dataset = Dataset("scale", "scale", {"orders": nw.from_native(orders)})
    started = time.perf_counter()
    features = customer_features(dataset, END)
    features_seconds = time.perf_counter() - started
    sample = features.get_column("customer_id").head(TRAINING_CUSTOMERS)
    part = orders.filter(pl.col("customer_id").is_in(sample.to_list())).collect()
    training = Dataset.from_frames("part", {"orders": part})
    model = ChurnModel(cutoffs=4).fit(training, END)
    started = time.perf_counter()
    model.predict_from(features)
    return {
        "customers": features.height,
        "features_seconds": features_seconds,
        "scoring_seconds": time.perf_counter() - started,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main(millions: list[float]) -> None:
    """Measure each size in its own process; print and record the table."""
    rows = []
    for size in millions:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), int(size * 1_000_000))
            command = [sys.executable, __file__, "--of", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            rows.append({"million_lines": size, **json.loads(done.stdout.splitlines()[-1])})
    sizes = " ".join(f"{size:g}" for size in millions)
    record(
        "Customers: features and scores by size",
        pl.DataFrame(rows),
        command=f"python benchmarks/customers_scale.py {sizes}",
        packages=("polars", "lightgbm"),
        note="Generated lines, 100 per customer, over a year. Wall-clock seconds on two shared "
        "cores. The peak includes features and scores.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        main([float(size) for size in sys.argv[1:]] or list(MILLIONS))
