"""Imports by a corrected mapping: everything that the former one contributed is replaced."""

import json
import signal
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import open_dataset
from features.erasure import erase
from features.errors import InvalidInput
from features.identity import undo_rule
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.stored import store_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.source_table import SourceTable
from features.ingest.sources.mapped import read_mapped
from features.ingest.sources.replay import read_quarantined
from features.storage.snapshots import (
    SOURCE,
    commit_snapshot,
    dataset_folder,
    read_head,
    read_snapshot,
    scan_parts,
    write_part,
)

NOW = datetime(2024, 6, 1)
SKETCH = """name = "shop"
[orders]
path = "*.csv"
columns = { order_id = "bon", customer_id = "who", product_id = "sku", ts = "when", quantity = "qty", revenue = "paid" }
"""  # noqa: E501
# Keys of [orders] that users correct.
CORRECTIONS = {
    "drop": 'drop = [ { column = "sku", in = ["POST"], reason = "postage" } ]\n',
    "no product": 'no_product = [ { column = "sku", in = ["POST"] } ]\n',
    "returns": 'returns = { column = "bon", starts_with = "C" }\n',
}
CATALOGUE = '[products]\npath = "*.csv"\ncolumns = { product_id = "sku" }\n'
OTHER_MONEY = SKETCH.replace('"paid"', '"full"')
CORRECTED = {
    **{name: SKETCH + keys for name, keys in CORRECTIONS.items()},
    "another money column": OTHER_MONEY,
    "without order ids": SKETCH.replace('order_id = "bon", ', ""),
    "with a catalogue": SKETCH + CATALOGUE,
    "all at once": OTHER_MONEY + "".join(list(CORRECTIONS.values())[1:]) + CATALOGUE,
}
HEADER = "bon,who,sku,when,qty,paid,full"
LINES = [
    "1,7,tea,2024-01-02,1,1.00,2.00",
    "1,7,POST,2024-01-02,3,5.00,6.00",
    "2,8,milk,2024-02-03,2,2.00,3.00",
    "2,8,POST,2024-02-03,1,5.00,6.00",
    "C3,7,tea,2024-02-04,1,1.00,2.00",
    "4,9,jam,soon,1,1.00,1.00",
]


class Shop:
    """A folder of exports that is imported by one mapping after the other."""

    def __init__(self, folder: Path, lines: list[str] = LINES) -> None:
        self.folder, self.home = folder, folder / "home"
        self.export("a.csv", lines)

    def export(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join([HEADER, *lines, ""]))

    def bring(self, mapping: str, *, home: str = "home", file: str = "shop.toml", **options):
        (self.folder / file).write_text(mapping)
        with tempfile.TemporaryDirectory() as scratch:
            tables = read_mapped(read_mapping(self.folder / file), NOW, Path(scratch))
            return import_tables(self.folder / home, "shop", tables, 1.0, 20, **options)

    def lines(self, snapshot: str | None = None) -> pl.DataFrame:
        return open_dataset(self.home, "shop", snapshot).table("orders").collect().to_polars()

    def quarantined(self, home: str = "home") -> pl.DataFrame:
        return scan_quarantine(quarantine_file(self.folder / home, "shop")).collect()


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


@pytest.mark.parametrize("corrected", CORRECTED.values(), ids=CORRECTED)
def test_a_corrected_mapping_gives_the_snapshot_of_a_first_import(shop, corrected):
    first = shop.bring(corrected, home="first")
    shop.bring(SKETCH)
    again = shop.bring(corrected)
    assert again.snapshot == first.snapshot
    assert shop.quarantined().equals(shop.quarantined("first"))
    is_other = corrected != SKETCH + CATALOGUE
    assert again.tables["orders"].superseded == (5 if is_other else 0)
    assert shop.bring(SKETCH).snapshot == shop.bring(SKETCH, home="second").snapshot


def test_a_table_that_the_mapping_no_longer_names_leaves_the_dataset(shop):
    shop.bring(SKETCH + CATALOGUE)
    report = shop.bring(SKETCH)
    assert "products" not in open_dataset(shop.home, "shop").tables
    assert report.tables["products"].superseded == 4
    assert report.snapshot == shop.bring(SKETCH, home="first").snapshot


def test_an_equal_mapping_in_other_words_replaces_nothing(shop):
    shop.bring(SKETCH)
    words = SKETCH.replace('"*.csv"', '"*.csv"   # all months').replace("columns", "\ncolumns")
    report = shop.bring(words).tables["orders"]
    assert (report.superseded, report.duplicates, report.accepted) == (0, 5, 0)


def test_a_correction_in_another_file_replaces_too(shop):
    shop.bring(SKETCH)
    report = shop.bring(OTHER_MONEY, file="right.toml")
    assert report.snapshot == shop.bring(OTHER_MONEY, home="first").snapshot


def test_a_second_mapping_of_other_files_adds_its_rows(shop):
    shop.bring(SKETCH)
    shop.export("web.txt", ["w1,7,tea,2024-03-01,1,1.00,2.00"])
    web = OTHER_MONEY.replace("*.csv", "web.txt")
    shop.bring(web, file="web.toml")
    assert shop.lines().height == 6
    shop.bring(SKETCH + CORRECTIONS["drop"])
    assert sorted(shop.lines()["order_id"]) == ["1", "2", "C3", "w1"]


def test_stored_rows_name_their_source_and_it_is_recorded(shop):
    snapshot = shop.bring(SKETCH).snapshot
    folder = dataset_folder(shop.home, "shop")
    parts = read_snapshot(folder, snapshot)["orders"]
    assert scan_parts(folder, parts).collect()[SOURCE].unique().to_list() == [0]
    (record,) = json.loads((folder / "sources" / f"{snapshot}.json").read_text())
    assert (record["table"], record["source"], record["files"]) == (
        "orders",
        0,
        {"a.csv": [6, 1]},
    )
    assert record["mapping"] == str(shop.folder / "shop.toml")
    assert SOURCE not in shop.lines().columns


def test_earlier_snapshots_stay_readable(shop):
    before = shop.bring(SKETCH).snapshot
    shop.bring(SKETCH + CORRECTIONS["drop"])
    assert (shop.lines(before).height, shop.lines().height) == (5, 3)


def test_rows_of_files_that_are_gone_are_replaced_only_on_demand(shop):
    shop.bring(SKETCH)
    shop.export("b.csv", ["5,9,tea,2024-05-05,1,1.00,2.00"])
    before = shop.bring(SKETCH).snapshot
    (shop.folder / "a.csv").unlink()
    with pytest.raises(InvalidInput, match=r"a\.csv.*--rebuild.*--keep"):
        shop.bring(OTHER_MONEY)
    assert read_head(dataset_folder(shop.home, "shop")) == before
    shop.bring(OTHER_MONEY, mode="keep")
    paid = dict(shop.lines().filter(product_id="tea").select("order_id", "revenue").rows())
    assert paid == {"1": 1.0, "C3": 1.0, "5": 2.0}
    # They stay when the same mapping is imported again, and when it is corrected once more.
    assert shop.bring(OTHER_MONEY).tables["orders"].superseded == 0
    assert shop.bring(SKETCH).tables["orders"].superseded == 1
    rebuilt = shop.bring(SKETCH, mode="rebuild")
    assert rebuilt.tables["orders"].superseded == 6
    assert rebuilt.snapshot == shop.bring(SKETCH, home="first").snapshot


def test_a_rebuild_reads_everything_again_and_keeps_erased_customers_out(shop):
    shop.bring(SKETCH)
    erase(shop.home, "shop", ["7"])
    report = shop.bring(SKETCH, mode="rebuild").tables["orders"]
    assert (report.accepted, report.superseded, report.duplicates) == (5, 5, 0)
    assert "7" not in shop.lines()["customer_id"].to_list()


def test_rows_from_before_sources_were_recorded_belong_to_the_stored_mapping(shop):
    shop.bring(SKETCH)
    folder = dataset_folder(shop.home, "shop")
    store_mapping(shop.home, shop.folder / "shop.toml", read_mapping(shop.folder / "shop.toml"))
    parts = read_snapshot(folder, read_head(folder))["orders"]
    old = scan_parts(folder, parts).drop(SOURCE).collect()
    commit_snapshot(folder, {"orders": [write_part(folder, "orders", old)]}, None)
    for record in (folder / "sources").iterdir():
        record.unlink()
    assert shop.bring(SKETCH).tables["orders"].superseded == 0
    report = shop.bring(OTHER_MONEY)
    assert report.tables["orders"].superseded == 5
    assert report.snapshot == shop.bring(OTHER_MONEY, home="first").snapshot


def test_an_import_after_a_replay_by_a_corrected_mapping_replaces_all_rows(shop):
    shop.bring(SKETCH)
    (shop.folder / "shop.toml").write_text(OTHER_MONEY)
    rejected = quarantine_file(shop.home, "shop")
    row = scan_quarantine(rejected).with_columns(pl.col("record").str.replace("soon", "2024-02-05"))
    row.collect().write_parquet(rejected)
    with pytest.raises(InvalidInput, match="'full'"):
        read_quarantined(rejected, read_mapping(shop.folder / "shop.toml"), NOW)
    (shop.folder / "shop.toml").write_text(SKETCH + CORRECTIONS["returns"])
    mapping = read_mapping(shop.folder / "shop.toml")
    assert import_tables(shop.home, "shop", read_quarantined(rejected, mapping, NOW), 1.0)
    assert shop.lines().height == 6
    again = shop.bring(SKETCH + CORRECTIONS["returns"])
    first = shop.bring(SKETCH + CORRECTIONS["returns"], home="first")
    assert again.snapshot == first.snapshot


def test_undone_links_stay_undone_by_a_corrected_mapping(shop):
    identity = '[identity]\ncustomer_id = ["card"]\n'
    linked = SKETCH.replace('revenue = "paid"', 'revenue = "paid", card = "sku"') + identity
    shop.bring(linked)
    links = open_dataset(shop.home, "shop").table("customer_links").collect().to_polars()
    rule = SourceTable("customer_links", undo_rule(links, "card", "tea", undone=True))
    import_tables(shop.home, "shop", [rule], 0.0, 20)
    report = shop.bring(linked + "most = 5\n").tables["customer_links"]
    assert report.superseded == 5
    links = open_dataset(shop.home, "shop").table("customer_links").collect().to_polars()
    assert links.filter("undone").height == 1
    assert links.filter(pl.col("undone").is_null())["since"].to_list() == [0] * 5


# Imports by the command's function, and kills itself just before a file with a fragment of a path
# is renamed.
CHILD = """
import os, signal, sys
from pathlib import Path
from foresell.importing import import_source
from foresell.settings import Settings

folder, fragment = Path(sys.argv[1]), sys.argv[2]

def watch(event, args):
    if event == "os.rename" and fragment in str(args[0]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
import_source(Settings(home=folder / "home", max_bad_share=1.0), str(folder / "shop.toml"))
"""
POINTS = {
    "rows are stored": "tables/.orders",
    "the mapping is stored": "sources/.shop",
    "the snapshot is written": "snapshots/.",
    "its sources are recorded": "shop/sources/.",
    "HEAD is replaced": ".HEAD",
}


@pytest.mark.parametrize("fragment", POINTS.values(), ids=POINTS)
def test_a_killed_correction_changes_nothing_and_the_next_import_completes_it(shop, fragment):
    before = shop.bring(SKETCH).snapshot
    store_mapping(shop.home, shop.folder / "shop.toml", read_mapping(shop.folder / "shop.toml"))
    corrected = SKETCH + CORRECTIONS["no product"]
    after = shop.bring(corrected, home="first").snapshot
    command = [sys.executable, "-c", CHILD, str(shop.folder), fragment]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert open_dataset(shop.home, "shop").snapshot == before
    # The nightly job imports by the stored mapping, a user by the corrected file.
    shop.bring((shop.home / "sources" / "shop.toml").read_text(), file="stored.toml")
    assert shop.bring(corrected).snapshot == after


sku = st.sampled_from(["tea", "milk", "POST"])
order = st.sampled_from(["1", "2", "C3", "C4"])
cell = st.tuples(order, st.sampled_from("78"), sku, st.integers(1, 5), st.integers(-3, 9))
exports = st.lists(cell, min_size=1, max_size=15)
mappings = st.builds(
    lambda base, keys, tables: base + "".join(keys) + tables,
    st.sampled_from([SKETCH, OTHER_MONEY, SKETCH.replace('order_id = "bon", ', "")]),
    st.lists(st.sampled_from(list(CORRECTIONS.values())), unique=True),
    st.sampled_from(["", CATALOGUE]),
)


@settings(max_examples=25, deadline=None)
@given(exports, exports, st.lists(mappings, min_size=1, max_size=3), mappings)
def test_no_line_is_lost_or_doubled_by_corrections(first, second, tried, right):
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), [])
        for name, rows in (("a.csv", first), ("b.csv", second)):
            lines = [f"{o},{w},{s},2024-01-0{d},{q},{q}.5,{q}.75" for o, w, s, d, q in rows]
            shop.export(name, lines)
        for mapping in tried:
            shop.bring(mapping)
        report, fresh = shop.bring(right), shop.bring(right, home="fresh")
        assert report.snapshot == fresh.snapshot
        assert shop.quarantined().equals(shop.quarantined("fresh"))
        counts = report.tables["orders"]
        assert counts.read == len(first) + len(second)
        assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
