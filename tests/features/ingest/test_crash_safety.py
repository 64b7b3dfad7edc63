"""A killed import leaves the dataset unchanged, at any point before its commit."""

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from features.dataset import open_dataset
from features.errors import Unavailable
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.ingest.sources.mapped import read_mapped
from features.storage.snapshots import list_datasets

# Imports a file and kills itself without clean-up just before the n-th time that an action
# (creating a folder, opening for writing, renaming, removing) applies to a path with a fragment.
CHILD = """
import os, signal, sys
from pathlib import Path
import polars as pl
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable

home, file, action, fragment, left = Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])
waits = len(sys.argv) > 6

def watch(event, args):
    global left
    if event != action or fragment not in str(args[0]):
        return
    if event == "open" and "w" not in str(args[1]):
        return
    left -= 1
    if left == 0 and waits:
        print("waiting", flush=True)
        sys.stdin.readline()
    elif left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if file.endswith(".toml"):
    from datetime import datetime
    from features.ingest.mapping.file import read_mapping
    from features.ingest.sources.mapped import read_mapped
    tables = lambda: read_mapped(read_mapping(Path(file)), datetime(2024, 6, 1), home.parent)
else:
    table = SourceTable("sales", pl.read_parquet(file))
    tables = lambda: [table]
sys.addaudithook(watch)
import_tables(home, "shop", tables(), 0.5, rows_per_part=20)
"""
BEFORE_COMMIT = {
    "nothing is done": ("os.mkdir", "staging", 1),
    "rows are validated": ("os.mkdir", "staging/0/rejected", 1),
    "rows are partitioned": ("os.mkdir", "staging/0/", 4),
    "rows are repartitioned": ("os.remove", "staging/0/2/", 1),
    "the first part is half stored": ("os.rename", "tables/.sales", 1),
    "some parts are stored": ("os.rename", "tables/.sales", 6),
    "all parts are stored": ("os.rename", "quarantine/.shop", 1),
    "the snapshot is written": ("open", "snapshots/", 1),
    "HEAD is replaced": ("os.rename", ".HEAD", 1),
}


def sales(products: range) -> pl.DataFrame:
    rows = [(f"p{product}", 19000 + day, 1.0) for product in products for day in range(3)]
    schema = {"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def import_sales(home: Path, frame: pl.DataFrame) -> str:
    return import_tables(home, "shop", [SourceTable("sales", frame)], 0.5, 20).snapshot


def read(home: Path) -> pl.DataFrame:
    frame = open_dataset(home, "shop").table("sales").collect().to_polars()
    return frame.sort("product_id", "day")


def import_and_kill(
    home: Path, frame: pl.DataFrame, action: str, fragment: str, times: int
) -> None:
    file = home.parent / "arriving.parquet"
    frame.write_parquet(file)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, home, file, action, fragment, str(times)],
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr or "the import ended"


@pytest.mark.parametrize("point", BEFORE_COMMIT.values(), ids=BEFORE_COMMIT)
def test_a_killed_import_leaves_the_dataset_and_the_next_one_succeeds(tmp_path, point):
    home = tmp_path / "home"
    before = import_sales(home, sales(range(10)))
    import_and_kill(home, sales(range(5, 30)), *point)
    assert open_dataset(home, "shop").snapshot == before
    assert read(home).equals(sales(range(10)).sort("product_id", "day"))
    after = import_sales(home, sales(range(5, 30)))
    assert after == import_sales(tmp_path / "undisturbed", sales(range(30)))


def test_an_import_killed_while_it_removes_old_parts_is_complete(tmp_path):
    home = tmp_path / "home"
    import_sales(home, sales(range(10)))
    import_and_kill(home, sales(range(5, 30)), "os.remove", "tables/sales-", 2)
    assert read(home).equals(sales(range(30)).sort("product_id", "day"))


def test_a_killed_first_import_creates_no_dataset(tmp_path):
    home = tmp_path / "home"
    import_and_kill(home, sales(range(5)), "os.rename", "tables/.sales", 1)
    assert list_datasets(home) == []


MAPPING = """name = "shop"
[orders]
path = "lines.csv"
columns = { order_id = "bon", product_id = "sku", ts = "when", quantity = "qty" }
"""
WHILE_STREAMING = {
    "a batch is validated": ("os.mkdir", "staging/0/1/", 1),
    "later batches are partitioned": ("os.mkdir", "staging/0/4/", 3),
    "the first batches are repartitioned": ("os.remove", "staging/0/1/", 1),
    "lines are numbered and some parts stored": ("os.rename", "tables/.orders", 2),
    "HEAD is replaced": ("os.rename", ".HEAD", 1),
}


def lines(folder: Path, orders: range) -> Path:
    rows = [f"{order},p{n},2024-01-02,{n + 1}\n" for order in orders for n in range(3)]
    (folder / "lines.csv").write_text("bon,sku,when,qty\n" + "".join(rows) + "9,x,soon,1\n")
    (folder / "shop.toml").write_text(MAPPING)
    return folder / "shop.toml"


def import_mapped(home: Path, mapping: Path) -> str:
    tables = read_mapped(read_mapping(mapping), datetime(2024, 6, 1), home.parent)
    return import_tables(home, "shop", tables, 0.5, 20).snapshot


@pytest.mark.parametrize("point", WHILE_STREAMING.values(), ids=WHILE_STREAMING)
def test_a_mapped_import_that_is_killed_leaves_the_dataset_and_the_next_one_succeeds(
    tmp_path, point
):
    home = tmp_path / "home"
    before = import_mapped(home, lines(tmp_path, range(3)))
    mapping = lines(tmp_path, range(2, 20))
    child = start(home, mapping, *point)
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors or "the import ended"
    assert open_dataset(home, "shop").snapshot == before
    after = import_mapped(home, mapping)
    undisturbed = tmp_path / "undisturbed"
    import_mapped(undisturbed, lines(tmp_path, range(20)))
    assert after == open_dataset(undisturbed, "shop").snapshot


def start(home: Path, file: Path, action: str, fragment: str, times: int, *more: str):
    command = [sys.executable, "-c", CHILD, home, file, action, fragment, str(times), *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_the_second_of_two_concurrent_imports_raises(tmp_path):
    home = tmp_path / "home"
    mapping = lines(tmp_path, range(10))
    first = start(home, mapping, "os.rename", "tables/.orders", 1, "waits")
    assert first.stdout.readline() == "waiting\n"
    with pytest.raises(Unavailable, match=str(first.pid)):
        import_mapped(home, mapping)
    _, errors = first.communicate("continue\n")
    assert first.returncode == 0, errors
    assert read_orders(home) == 30


def read_orders(home: Path) -> int:
    return open_dataset(home, "shop").table("orders").collect().shape[0]
