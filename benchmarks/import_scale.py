"""Time and memory of `foresell data import MAPPING.toml` for 1, 10 and 30 million order lines.

Generated order lines are imported by a mapping from CSV, from Parquet and from a table of a
PostgreSQL server (its address: FORESELL_TEST_DATABASE). CSV is imported a second time, when all
lines are duplicates. Each import runs in its own process, whose peak resident memory is printed.

Run: python benchmarks/import_scale.py [csv 10, which measures one]
"""

import os
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

from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped

LINES_PER_ORDER = 5
CHUNK = 500_000
FIRST_INSTANT = 1_600_000_000  # seconds since 1970
SIZES = {"csv": (1, 10, 30), "parquet": (1, 10), "postgresql": (1,)}  # millions
SERVER = os.environ.get("FORESELL_TEST_DATABASE", "postgresql://postgres@127.0.0.1:5432/test")
TABLE = f"foresell_lines_{os.getpid()}"
LOCATIONS = {
    "csv": 'path = "lines.csv"',
    "parquet": 'path = "lines-*.parquet"',
    "postgresql": 'url = "{server}"\nquery = "select * from {table} order by position"',
}
# Without a column of line numbers, lines are numbered in their order.
MAPPING = """name = "shop"
[orders]
{location}
columns = {{ customer_id = "customer", order_id = "invoice", product_id = "sku", location_id = "shop", ts = "sold", quantity = "units", unit_price = "price" }}
constants = {{ channel = "shop" }}
"""  # noqa: E501


def generate(folder: Path, kind: str, rows: int) -> None:
    """Write order lines in chunks."""
    random = np.random.default_rng(seed=1)
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
            if kind == "parquet":
                lines.write_parquet(folder / f"lines-{start:09d}.parquet")
            else:
                lines.write_csv(file, include_header=start == 0, datetime_format="%F %T")
    if kind == "postgresql":
        copy_to_server(folder / "lines.csv")


def copy_to_server(path: Path) -> None:
    """Copy a CSV of order lines to a table of the server."""
    columns = "invoice int, customer int, sku int, shop int, sold timestamp, units int"
    with server().begin() as connection:
        connection.execute(
            sa.text(f"create table {TABLE} ({columns}, price numeric(10, 2), position serial)")
        )
        names = "invoice, customer, sku, shop, sold, units, price"
        command = f"copy {TABLE} ({names}) from stdin with (format csv, header)"
        with connection.connection.cursor().copy(command) as copy, path.open("rb") as file:
            while part := file.read(1 << 20):
                copy.write(part)


def server() -> sa.Engine:
    """Return an engine for the PostgreSQL server."""
    return sa.create_engine(sa.make_url(SERVER).set(drivername="postgresql+psycopg"))


def measure(folder: Path, kind: str) -> None:
    """Import by the mapping in `folder` and print one row of the table."""
    path = folder / "shop.toml"
    started, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tables = read_mapped(read_mapping(path), datetime.now(), Path(scratch))
        report = import_tables(folder / "home", "shop", tables, max_bad_share=0.05).tables["orders"]
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{kind:>10}{report.read:>12,}{report.accepted:>12,}{report.duplicates:>12,}"
        f"{seconds:>10.1f}{cpu:>10.1f}{memory:>10.2f}",
        flush=True,
    )


def main(sizes: dict[str, tuple[int, ...]]) -> None:
    """Generate and import each size; import CSV twice."""
    columns = ("", "rows", "accepted", "duplicates", "seconds", "cpu s", "peak GiB")
    print("{:>10}{:>12}{:>12}{:>12}{:>10}{:>10}{:>10}".format(*columns), flush=True)
    for kind, millions in sizes.items():
        for number in millions:
            with tempfile.TemporaryDirectory() as folder:
                generate(Path(folder), kind, number * 1_000_000)
                location = LOCATIONS[kind].format(server=SERVER, table=TABLE)
                (Path(folder) / "shop.toml").write_text(MAPPING.format(location=location))
                try:
                    for _ in range(2 if kind == "csv" else 1):
                        child = [sys.executable, __file__, "--import", folder, kind]
                        subprocess.run(child, check=True)  # noqa: S603
                finally:
                    if kind == "postgresql":
                        with server().begin() as connection:
                            connection.execute(sa.text(f"drop table if exists {TABLE}"))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--import", folder, kind]:
            measure(Path(folder), kind)
        case [kind, *numbers]:
            main({kind: tuple(map(int, numbers)) or SIZES[kind]})
        case _:
            main(SIZES)
