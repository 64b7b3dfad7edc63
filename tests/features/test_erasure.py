"""Erased customers: absent from every file, anonymous in demand, excluded from later imports."""

import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from features.dataset import open_dataset
from features.erasure import erase, is_known
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.sources.mapped import read_mapped

NOW = datetime(2024, 6, 1)
ADA = "7001"
MAPPING = """name = "shop"
[orders]
path = "till*.csv"
columns = { order_id = "bon", customer_id = "who", product_id = "sku", ts = "when", quantity = "qty" }
[customers]
path = "people.csv"
columns = { customer_id = "id", age = "age" }
[touchpoints]
path = "mails.csv"
columns = { customer_id = "id", ts = "at", campaign_id = "mail" }
constants = { kind = "sent" }
"""  # noqa: E501
WITHOUT_ORDER_IDS = MAPPING.replace('order_id = "bon", ', "")
FILES = {
    "till1.csv": "bon,who,sku,when,qty\n"
    + "".join(f"b{n},{7000 + n % 4},tea,2024-01-{1 + n % 28:02d},{n + 1}\n" for n in range(100)),
    "till2.csv": f"bon,who,sku,when,qty\nc1,{ADA},milk,soon,1\nc2,x,{ADA},milk,2024-01-02,1\n"
    f"c3,7002,milk,soon,1\nc4,7002\n",
    "people.csv": f"id,age\n{ADA},30\n7002,40\n",
    "mails.csv": f"id,at,mail\n{ADA},2024-01-01,m1\n7002,2024-01-01,m1\n{ADA},never,m1\n",
}
# Runs `erase` and kills itself before the n-th operation of a kind on a matching path.
CHILD = """
import os, signal, sys
from pathlib import Path
from features.erasure import erase

home, action, fragment, left = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])

def watch(event, args):
    global left
    if event != action or fragment not in str(args[0]):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
erase(home, "shop", ["7001"])
"""


class Shop:
    def __init__(self, folder: Path, mapping: str = MAPPING) -> None:
        self.folder, self.home = folder, folder / "home"
        for name, text in FILES.items():
            (folder / name).write_text(text)
        (folder / "shop.toml").write_text(mapping)

    def bring(self, **files: str):
        for name, text in files.items():
            (self.folder / f"{name}.csv").write_text(text)
        with TemporaryDirectory() as scratch:
            mapping = read_mapping(self.folder / "shop.toml")
            tables = read_mapped(mapping, NOW, Path(scratch))
            return import_tables(self.home, "shop", tables, 1.0, rows_per_part=20)

    def table(self, name: str) -> pl.DataFrame:
        return open_dataset(self.home, "shop").table(name).collect().to_polars()

    def kept(self) -> pl.DataFrame:
        return scan_quarantine(quarantine_file(self.home, "shop")).collect()

    def mentions(self, word: str = ADA) -> list[Path]:
        """Return the files with the word, except within a hash, where it occurs by chance."""
        pattern = re.compile(f"(?<![0-9a-f]){re.escape(word)}(?![0-9a-f])")
        files = (path for path in self.home.rglob("*") if path.is_file())
        return [path for path in files if pattern.search(_text(path))]


def _text(path: Path) -> str:
    return str(pl.read_parquet(path).rows()) if path.suffix == ".parquet" else path.read_text()


@pytest.fixture(params=[MAPPING, WITHOUT_ORDER_IDS], ids=["own order ids", "orders of a day"])
def shop(tmp_path, request):
    shop = Shop(tmp_path, request.param)
    shop.bring()
    return shop


def test_no_file_has_the_customer_and_demand_is_unchanged(shop):
    before = shop.table("orders")
    assert shop.mentions()
    erased = erase(shop.home, "shop", [ADA])
    assert shop.mentions() == []
    assert erased.tables == {"orders": 25, "customers": 1, "touchpoints": 1}
    after = shop.table("orders")
    demand = ["product_id", "ts", "quantity"]
    assert after.sort(demand).select(demand).equals(before.sort(demand).select(demand))
    assert after["customer_id"].null_count() == 25
    assert after.select("order_id", "line").is_unique().all()
    others = before.filter(pl.col("customer_id") != ADA)
    assert after.drop_nulls("customer_id").sort("order_id").equals(others.sort("order_id"))


def test_rows_in_quarantine_keep_only_location_and_reason(shop):
    before = shop.kept()
    assert erase(shop.home, "shop", [ADA]).quarantine == 3
    kept = ["table", "file", "row", "column", "reason", "source"]
    after = shop.kept()
    assert after.select(kept).equals(before.select(kept))
    assert after["record"].null_count() == 3
    assert after.filter(customer_id="7002").height == before.filter(customer_id="7002").height > 0


def test_a_repeated_import_restores_no_customer_and_changes_nothing(shop):
    erase(shop.home, "shop", [ADA])
    stored = shop.table("orders")
    report = shop.bring()
    assert shop.mentions() == []
    assert shop.table("orders").equals(stored)
    orders, customers = report.tables["orders"], report.tables["customers"]
    assert (orders.accepted, orders.duplicates) == (0, 100)
    assert orders.touched == {"customer asked to be forgotten: the line is anonymous": 25}
    for table in report.tables.values():
        assert table.read == table.accepted + table.quarantined + table.duplicates
    assert (customers.dropped, customers.quarantined) == (1, 1)


def test_lines_of_later_imports_are_anonymous(shop):
    erase(shop.home, "shop", [ADA])
    more = f"bon,who,sku,when,qty\nd1,{ADA},tea,2024-03-01,1\nd2,7002,tea,2024-03-01,1\n"
    assert shop.bring(till3=more).tables["orders"].accepted == 2
    assert shop.mentions() == []
    late = shop.table("orders").filter(pl.col("ts") == datetime(2024, 3, 1))
    assert set(late["customer_id"]) == {None, "7002"}


def test_older_snapshots_keep_their_names_without_the_customer(shop):
    older = open_dataset(shop.home, "shop").snapshot
    shop.bring(till3="bon,who,sku,when,qty\nd1,7002,tea,2024-03-01,1\n")
    assert erase(shop.home, "shop", [ADA]).snapshots == 1
    assert open_dataset(shop.home, "shop").snapshot != older
    orders = open_dataset(shop.home, "shop", older).table("orders").collect().to_polars()
    assert orders.height == 100
    assert ADA not in orders["customer_id"].to_list()


def test_unknown_ids_are_not_known_and_erased_ids_stay_known(shop):
    assert is_known(shop.home, "shop", [ADA])
    assert not is_known(shop.home, "shop", ["4711"])
    erase(shop.home, "shop", [ADA])
    assert is_known(shop.home, "shop", [ADA])
    again = erase(shop.home, "shop", [ADA])
    assert (again.known, again.tables, again.quarantine) == (True, {}, 0)


def test_linked_ids_are_erased_together(tmp_path):
    mapping = MAPPING.replace('name = "shop"', 'name = "shop"\n[identity]\ncustomer_id = ["card"]')
    shop = Shop(tmp_path, mapping.replace('age = "age"', 'age = "age", card = "card"'))
    shop.bring(people=f"id,age,card\n{ADA},30,c9\n7002,40,c2\n7003,30,c9\n")
    assert erase(shop.home, "shop", ["7003"]).tables["customers"] == 2
    assert shop.mentions(ADA) + shop.mentions("7003") + shop.mentions("'c9'") == []
    assert shop.mentions("7002")


POINTS = {
    "nothing done": ("os.rename", "forgotten", 1),
    "recorded, nothing removed": ("os.rename", "tables/.customers", 1),
    "some parts written": ("os.rename", "tables/.orders", 3),
    "HEAD not written": ("os.rename", ".HEAD", 1),
    "older snapshots left": ("os.rename", "snapshots/.", 2),
    "old parts being removed": ("os.remove", "tables/", 2),
    "rows in quarantine left": ("os.rename", "quarantine/.shop", 1),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_after_a_crash_the_dataset_is_complete_and_the_next_run_erases(tmp_path, point):
    shop = Shop(tmp_path)
    shop.bring()
    words = [sys.executable, "-c", CHILD, shop.home, *map(str, point)]
    child = subprocess.run(words, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr or "it ended"
    assert shop.table("orders").height == 100
    assert is_known(shop.home, "shop", [ADA])
    erase(shop.home, "shop", [ADA])
    assert shop.mentions() == []
    assert shop.table("orders")["customer_id"].null_count() == 25
