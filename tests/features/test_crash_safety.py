"""An import that is killed: whatever it was doing, the dataset is the one from before."""

import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from features.dataset import list_datasets, open_dataset
from features.intake import import_tables
from features.staging import SourceTable

# Imports a file and kills itself, without any clean-up, just before the n-th time that it does
# something (makes a folder, opens for writing, renames, removes) to a path with this in it.
CHILD = """
import os, signal, sys
from pathlib import Path
import polars as pl
from features.intake import import_tables
from features.staging import SourceTable

home, file, action, fragment, left = Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])

def watch(event, args):
    global left
    if event != action or fragment not in str(args[0]):
        return
    if event == "open" and "w" not in str(args[1]):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

table = SourceTable("sales", pl.read_parquet(file))
sys.addaudithook(watch)
import_tables(home, "shop", [table], 0.5, rows_per_part=20)
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
