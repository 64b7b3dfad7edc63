"""Seconds and memory to import 1, 10 and 30 million order lines from CSV, and once more.

Each import runs in a process of its own, whose largest resident memory is what is printed.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from features.intake import import_tables
from features.staging import SourceTable

LINES_PER_ORDER = 5
CHUNK = 500_000
FIRST_INSTANT = 1_600_000_000  # seconds since 1970


def generate(path: Path, rows: int) -> None:
    """Write order lines of a made-up shop, a chunk at a time."""
    random = np.random.default_rng(seed=1)
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK):
            number = np.arange(start, min(start + CHUNK, rows))
            size = len(number)
            pl.DataFrame(
                {
                    "invoice": number // LINES_PER_ORDER,
                    "line": number % LINES_PER_ORDER,
                    "customer": random.integers(0, 200_000, size),
                    "sku": random.integers(0, 20_000, size),
                    "shop": random.integers(0, 50, size),
                    "sold": FIRST_INSTANT + number * 3,
                    "units": random.integers(1, 6, size),
                    "paid": random.integers(50, 5000, size) / 100,
                }
            ).with_columns(pl.from_epoch("sold")).write_csv(file, include_header=start == 0)


def read(path: Path) -> SourceTable:
    """Read the CSV as order lines, lazily."""
    sold = pl.col("sold").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
    frame = pl.scan_csv(path, infer_schema=False).select(
        pl.col("customer").alias("customer_id"),
        pl.col("invoice").alias("order_id"),
        pl.col("line").cast(pl.Int32, strict=False),
        pl.col("sku").alias("product_id"),
        pl.col("shop").alias("location_id"),
        pl.lit("shop").alias("channel"),
        sold.alias("ts"),
        sold.dt.date().cast(pl.Int32).alias("day"),
        pl.col("units").cast(pl.Float64, strict=False).alias("quantity"),
        pl.col("paid").cast(pl.Float64, strict=False).alias("revenue"),
        pl.lit("sale").alias("kind"),
    )
    return SourceTable("orders", frame)


def bring_in(home: Path, path: Path) -> None:
    """Import one file and print a line of the table."""
    clock = time.perf_counter()
    report = import_tables(home, "shop", [read(path)], 0.05).tables["orders"]
    seconds = time.perf_counter() - clock
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{report.read:>12,}{report.accepted:>12,}{report.duplicates:>12,}"
        f"{seconds:>10.1f}{report.read / seconds:>12,.0f}{memory:>10.2f}",
        flush=True,
    )


def main() -> None:
    """Generate each size, import it, and import it once more."""
    heads = ("rows", "accepted", "duplicates", "seconds", "rows/s", "peak GiB")
    print("{:>12}{:>12}{:>12}{:>10}{:>12}{:>10}".format(*heads), flush=True)
    for millions in (1, 10, 30):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lines.csv"
            generate(path, millions * 1_000_000)
            for _ in range(2):
                subprocess.run([sys.executable, __file__, folder, path], check=True)  # noqa: S603


if __name__ == "__main__":
    if len(sys.argv) > 1:
        bring_in(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
