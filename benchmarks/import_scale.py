"""Seconds, CPU and memory of `foresell data import MAPPING.toml` for 1, 10 and 30 million lines.

Order lines of a made-up shop as CSV, Parquet and a database's table come in by a mapping file,
and the CSV once more, when all of its lines are known. Each import runs in a process of its own,
whose largest resident memory is what is printed. `python benchmarks/import_scale.py csv 10`
measures one.
"""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import sqlalchemy as sa

from features.intake import import_tables
from features.mapping_file import read_mapping
from features.sources.mapped import read_mapped

LINES_PER_ORDER = 5
CHUNK = 500_000
FIRST_INSTANT = 1_600_000_000  # seconds since 1970
SIZES = {"csv": (1, 10, 30), "parquet": (1, 10, 30), "database": (1, 3)}  # millions
PLACES = {
    "csv": 'path = "lines.csv"',
    "parquet": 'path = "lines-*.parquet"',
    "database": 'url = "sqlite:///{folder}/lines.db"\nquery = "select * from lines"',
}
# Lines have no numbers of their own: they get theirs from the order in which they stand.
MAPPING = """name = "shop"
[orders]
{place}
columns = {{ customer_id = "customer", order_id = "invoice", product_id = "sku", location_id = "shop", ts = "sold", quantity = "units", unit_price = "price" }}
constants = {{ channel = "shop" }}
"""  # noqa: E501


def generate(folder: Path, kind: str, rows: int) -> None:
    """Write order lines, a chunk at a time."""
    random = np.random.default_rng(seed=1)
    engine = sa.create_engine(f"sqlite:///{folder}/lines.db")
    with (folder / "lines.csv").open("wb") as file:
        for start in range(0, rows, CHUNK):
            number = np.arange(start, min(start + CHUNK, rows))
            size = len(number)
            lines = pl.DataFrame(
                {
                    "invoice": number // LINES_PER_ORDER,
                    "customer": random.integers(0, 200_000, size),
                    "sku": random.integers(0, 20_000, size),
                    "shop": random.integers(0, 50, size),
                    "sold": FIRST_INSTANT + number // LINES_PER_ORDER * 3,
                    "units": random.integers(1, 6, size),
                    "price": random.integers(50, 5000, size) / 100,
                }
            ).with_columns(pl.from_epoch("sold"))
            if kind == "csv":
                lines.write_csv(file, include_header=start == 0, datetime_format="%F %T")
            elif kind == "parquet":
                lines.write_parquet(folder / f"lines-{start:09d}.parquet")
            else:
                text = lines.with_columns(pl.col("sold").dt.strftime("%F %T"))
                text.write_database("lines", engine, if_table_exists="append")


def bring_in(folder: Path, kind: str) -> None:
    """Import by a mapping and print a line of the table."""
    path = folder / "shop.toml"
    path.write_text(MAPPING.format(place=PLACES[kind].format(folder=folder)))
    clock, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tables = read_mapped(read_mapping(path), datetime.now(), Path(scratch))
        report = import_tables(folder / "home", "shop", tables, 0.05).tables["orders"]
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{kind:>10}{report.read:>12,}{report.accepted:>12,}{report.duplicates:>12,}"
        f"{seconds:>10.1f}{cpu:>10.1f}{memory:>10.2f}",
        flush=True,
    )


def main(sizes: dict[str, tuple[int, ...]]) -> None:
    """Generate each size, import it, and a CSV once more."""
    heads = ("", "rows", "accepted", "duplicates", "seconds", "cpu s", "peak GiB")
    print("{:>10}{:>12}{:>12}{:>12}{:>10}{:>10}{:>10}".format(*heads), flush=True)
    for kind, millions in sizes.items():
        for number in millions:
            with tempfile.TemporaryDirectory() as folder:
                generate(Path(folder), kind, number * 1_000_000)
                for _ in range(2 if kind == "csv" else 1):
                    child = [sys.executable, __file__, "--import", folder, kind]
                    subprocess.run(child, check=True)  # noqa: S603


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--import", folder, kind]:
            bring_in(Path(folder), kind)
        case [kind, *numbers]:
            main({kind: tuple(map(int, numbers)) or SIZES[kind]})
        case _:
            main(SIZES)
