"""Time to import the bundled dataset and to compute each feature table on all of it.

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


def print_time(name: str, run: Callable[[], object]) -> None:
    """Print wall-clock seconds, and CPU seconds over all cores, of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    print(f"{name:<28}{time.perf_counter() - wall:8.2f} s{time.process_time() - cpu:10.2f} cpu-s")


def main() -> None:
    """Import into an empty home, then compute each feature table as of the end of the records."""
    with tempfile.TemporaryDirectory() as folder:
        home, name = Path(folder), complete_journey.NAME
        print_time(
            f"import {name}",
            lambda: import_tables(home, name, complete_journey.read(), max_bad_share=0.05),
        )
        dataset = open_dataset(home, name)
        as_of = dataset.end
        weekly = Grain.parse("product:week")
        print_time("customers", lambda: customers(dataset, as_of).collect())
        print_time("interactions", lambda: interactions(dataset, as_of).collect())
        print_time("demand, product:week", lambda: demand(dataset, weekly, as_of, 56).collect())


if __name__ == "__main__":
    main()
