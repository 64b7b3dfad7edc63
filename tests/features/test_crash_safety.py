"""An import that is killed: whatever it was doing, the dataset is the one from before."""

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

# Imports a file and kills itself, without any clean-up, just before the n-th time that it does
# something (makes a folder, opens for writing, renames, removes) to a path with this in it.
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
        print("here", flush=True)
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
BEFORE_IT_COUNTS = {
    "nothing done": ("os.mkdir", "staging", 1),
    "rows being checked": ("os.mkdir", "staging/0/rejected", 1),
    "rows being divided": ("os.mkdir", "staging/0/", 4),
    "rows being divided further": ("os.remove", "staging/0/2/", 1),
    "first part half stored": ("os.rename", "tables/.sales", 1),
    "some parts stored": ("os.rename", "tables/.sales", 6),
    "parts stored": ("os.rename", "quarantine/.shop", 1),
    "list of parts being written": ("open", "snapshots/", 1),
    "HEAD about to move": ("os.rename", ".HEAD", 1),
}


def sales(products: range) -> pl.DataFrame:
    rows = [(f"p{product}", 19000 + day, 1.0) for product in products for day in range(3)]
    schema = {"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def bring(home: Path, frame: pl.DataFrame) -> str:
    return import_tables(home, "shop", [SourceTable("sales", frame)], 0.5, 20).snapshot


def read(home: Path) -> pl.DataFrame:
    frame = open_dataset(home, "shop").table("sales").collect().to_polars()
    return frame.sort("product_id", "day")


def killed(home: Path, frame: pl.DataFrame, action: str, fragment: str, times: int) -> None:
    file = home.parent / "arriving.parquet"
    frame.write_parquet(file)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, home, file, action, fragment, str(times)],
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr or "the import ended"


@pytest.mark.parametrize("point", BEFORE_IT_COUNTS.values(), ids=BEFORE_IT_COUNTS)
def test_a_killed_import_leaves_the_dataset_and_the_next_one_succeeds(tmp_path, point):
    home = tmp_path / "home"
    before = bring(home, sales(range(10)))
    killed(home, sales(range(5, 30)), *point)
    assert open_dataset(home, "shop").snapshot == before
    assert read(home).equals(sales(range(10)).sort("product_id", "day"))
    after = bring(home, sales(range(5, 30)))
    assert after == bring(tmp_path / "undisturbed", sales(range(30)))


def test_an_import_killed_while_it_tidies_up_has_happened_whole(tmp_path):
    home = tmp_path / "home"
    bring(home, sales(range(10)))
    killed(home, sales(range(5, 30)), "os.remove", "tables/sales-", 2)
    assert read(home).equals(sales(range(30)).sort("product_id", "day"))


def test_a_killed_first_import_leaves_no_dataset(tmp_path):
    home = tmp_path / "home"
    killed(home, sales(range(5)), "os.rename", "tables/.sales", 1)
    assert list_datasets(home) == []


MAPPING = """name = "shop"
[orders]
path = "lines.csv"
columns = { order_id = "bon", product_id = "sku", ts = "when", quantity = "qty" }
"""
WHILE_STREAMED = {
    "a batch being checked": ("os.mkdir", "staging/0/1/", 1),
    "later batches being divided": ("os.mkdir", "staging/0/4/", 3),
    "first batches being divided further": ("os.remove", "staging/0/1/", 1),
    "lines numbered, some parts stored": ("os.rename", "tables/.orders", 2),
    "HEAD about to move": ("os.rename", ".HEAD", 1),
}


def lines(folder: Path, orders: range) -> Path:
    rows = [f"{order},p{n},2024-01-02,{n + 1}\n" for order in orders for n in range(3)]
    (folder / "lines.csv").write_text("bon,sku,when,qty\n" + "".join(rows) + "9,x,soon,1\n")
    (folder / "shop.toml").write_text(MAPPING)
    return folder / "shop.toml"


def bring_mapped(home: Path, mapping: Path) -> str:
    tables = read_mapped(read_mapping(mapping), datetime(2024, 6, 1), home.parent)
    return import_tables(home, "shop", tables, 0.5, 20).snapshot


@pytest.mark.parametrize("point", WHILE_STREAMED.values(), ids=WHILE_STREAMED)
def test_a_mapped_import_that_is_killed_leaves_the_dataset_and_the_next_one_succeeds(
    tmp_path, point
):
    home = tmp_path / "home"
    before = bring_mapped(home, lines(tmp_path, range(3)))
    mapping = lines(tmp_path, range(2, 20))
    child = start(home, mapping, *point)
    _, told = child.communicate()
    assert child.returncode == -signal.SIGKILL, told or "the import ended"
    assert open_dataset(home, "shop").snapshot == before
    after = bring_mapped(home, mapping)
    undisturbed = tmp_path / "undisturbed"
    bring_mapped(undisturbed, lines(tmp_path, range(20)))
    assert after == open_dataset(undisturbed, "shop").snapshot


def start(home: Path, file: Path, action: str, fragment: str, times: int, *more: str):
    words = [sys.executable, "-c", CHILD, home, file, action, fragment, str(times), *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_of_two_imports_at_once_one_works_and_the_other_says_so(tmp_path):
    home = tmp_path / "home"
    mapping = lines(tmp_path, range(10))
    first = start(home, mapping, "os.rename", "tables/.orders", 1, "waits")
    assert first.stdout.readline() == "here\n"
    with pytest.raises(Unavailable, match=str(first.pid)):
        bring_mapped(home, mapping)
    _, told = first.communicate("go on\n")
    assert first.returncode == 0, told
    assert read_orders(home) == 30


def read_orders(home: Path) -> int:
    return open_dataset(home, "shop").table("orders").collect().shape[0]
