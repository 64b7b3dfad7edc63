"""Seconds to import the bundled data and to compute every feature builder on all of it.

Run: python benchmarks/features_speed.py
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from features.customers.builder import customers
from features.dataset import open_dataset
from features.demand.builder import demand
from features.demand.grain import Grain
from features.ingest.pipeline import import_tables
from features.ingest.sources import complete_journey
from features.interactions.builder import interactions


def timed(name: str, work: Callable[[], object]) -> None:
    """Print how long something takes, on the clock and on all processors together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{name:<28}{time.perf_counter() - wall:8.2f} s{time.process_time() - cpu:10.2f} cpu-s")


def main() -> None:
    """Import into a fresh home, then run each builder as of the end of the data."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        timed(
            "import complete-journey",
            lambda: import_tables(home, complete_journey.NAME, complete_journey.read(), 0.05),
        )
        dataset = open_dataset(home, complete_journey.NAME)
        as_of = dataset.end
        weekly = Grain.parse("product:week")
        timed("customers", lambda: customers(dataset, as_of).collect())
        timed("interactions", lambda: interactions(dataset, as_of).collect())
        timed("demand, product:week", lambda: demand(dataset, weekly, as_of, 56).collect())


if __name__ == "__main__":
    main()
