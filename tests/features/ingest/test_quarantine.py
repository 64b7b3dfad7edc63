"""The quarantine: contents of a rejected row, changes by later imports, replay, summary."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from features.dataset import open_dataset
from features.errors import ImportRejected, InvalidInput, NotFound
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine, summarise_quarantine
from features.ingest.sources.mapped import read_mapped
from features.ingest.sources.replay import read_quarantined

NOW = datetime(2024, 6, 1)
MAPPING = """name = "shop"
[orders]
path = "*.csv"
columns = { order_id = "bon", customer_id = "who", product_id = "sku", ts = "when", quantity = "qty", revenue = "paid" }
drop = [ { column = "sku", in = ["M"], reason = "not a product" } ]
"""  # noqa: E501
HEADER = "bon,who,sku,when,qty,paid"
GOOD = ["1,7,tea,2024-01-02,1,1.00", "1,7,milk,2024-01-02,2,2.00", "2,8,tea,2024-02-03,1,1.00"]


class Shop:
    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.write_mapping(MAPPING)

    def write_mapping(self, text: str) -> None:
        (self.folder / "shop.toml").write_text(text)

    def export(self, name: str, *lines: str) -> None:
        (self.folder / name).write_text("\n".join([HEADER, *lines, ""]))

    def import_files(self, max_bad_share: float = 1.0):
        with TemporaryDirectory() as scratch:
            mapping = read_mapping(self.folder / "shop.toml")
            tables = read_mapped(mapping, NOW, Path(scratch))
            return import_tables(self.home, "shop", tables, max_bad_share)

    def replay(self):
        mapping = read_mapping(self.folder / "shop.toml")
        tables = read_quarantined(quarantine_file(self.home, "shop"), mapping, NOW)
        return import_tables(self.home, "shop", tables, 1.0).tables["orders"]

    def quarantined(self) -> pl.DataFrame:
        return scan_quarantine(quarantine_file(self.home, "shop")).collect()

    def stored(self) -> list[tuple]:
        frame = open_dataset(self.home, "shop").table("orders").collect().to_polars()
        return frame.select("order_id", "product_id", "quantity", "revenue").rows()


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_a_rejected_row_has_file_row_column_value_reason_and_mapping_line(shop):
    shop.export("a.csv", *GOOD, "3,9,tea,2024-13-02,1,1.00")
    shop.import_files()
    row = shop.quarantined().row(0, named=True)
    assert row["reason"] == "ts is not a date of the form YYYY-MM-DD[ HH:MM[:SS]]"
    columns = ("table", "file", "row", "column", "value", "mapping_line", "customer_id", "dropped")
    assert [row[name] for name in columns] == [
        "orders",
        "a.csv",
        5,
        "when",
        "2024-13-02",
        4,
        "9",
        False,
    ]


def test_a_missing_value_is_reported_with_the_mapping_line(shop):
    shop.export("a.csv", *GOOD, ",9,tea,2024-01-05,1,1.00")
    shop.import_files()
    row = shop.quarantined().row(0, named=True)
    assert (row["reason"], row["mapping_line"]) == ("order_id is missing", 4)


def test_a_quarantine_without_later_columns_is_read_and_preserved(shop):
    path = quarantine_file(shop.home, "shop")
    path.parent.mkdir(parents=True)
    columns = {"table": "orders", "row": [7], "column": "qty", "value": "x", "reason": "y"}
    pl.DataFrame(columns, schema_overrides={"row": pl.UInt32}).write_parquet(path)
    assert scan_quarantine(path).collect().item(0, "row") == 7
    shop.export("a.csv", *GOOD)
    shop.import_files()
    assert shop.quarantined().get_column("reason").to_list() == ["y"]


def test_a_dropped_row_of_an_attribute_table_has_the_drop_reason(shop):
    shop.write_mapping(
        MAPPING
        + '[products]\npath = "a.csv"\ncolumns = { product_id = "sku" }\n'
        + 'drop = [ { column = "bon", in = ["2"], reason = "of a test order" } ]\n'
    )
    shop.export("a.csv", *GOOD)
    report = shop.import_files(max_bad_share=0.0).tables["products"]
    assert (report.quarantined, report.dropped, report.accepted) == (1, 1, 2)
    assert shop.quarantined().get_column("reason").to_list() == ["of a test order"]


def test_rows_that_the_mapping_drops_do_not_stop_an_import(shop):
    shop.export("a.csv", *GOOD, *["4,9,M,2024-01-02,1,1.00"] * 20)
    report = shop.import_files(max_bad_share=0.05).tables["orders"]
    assert (report.read, report.accepted, report.quarantined, report.dropped) == (23, 3, 20, 20)


def test_a_stopped_import_changes_neither_dataset_nor_quarantine_and_stores_its_invalid_rows(shop):
    shop.export("a.csv", *GOOD, "3,9,tea,soon,1,1.00")
    before = shop.import_files().snapshot
    quarantined = shop.quarantined()
    shop.export("b.csv", *["5,9,tea,never,1,1.00"] * 9)
    with pytest.raises(ImportRejected) as caught:
        shop.import_files(max_bad_share=0.5)
    for part in ("line 4 of the mapping", "b.csv, row 2", "column when", "'never'"):
        assert part in caught.value.message
    assert open_dataset(shop.home, "shop").snapshot == before
    assert shop.quarantined().equals(quarantined)
    assert [group["rows"] for group in summarise_quarantine(shop.home, "shop", stopped=True)] == [
        10
    ]


def test_an_import_replaces_quarantined_rows_of_its_own_files_only(shop):
    shop.export("a.csv", *GOOD, "3,9,tea,soon,1,1.00")
    shop.export("b.csv", "4,9,tea,later,1,1.00")
    shop.import_files()
    (shop.folder / "a.csv").unlink()
    shop.export("b.csv", "4,9,tea,2024-03-04,1,1.00")
    shop.import_files()
    assert shop.quarantined().get_column("value").to_list() == ["soon"]


def test_replay_with_a_corrected_mapping_imports_rows_that_are_valid_now(shop):
    shop.export("a.csv", *GOOD, "3,9,M,2024-01-05,1,1.00", "3,9,jam,soon,1,1.00")
    shop.import_files()
    shop.write_mapping(MAPPING.replace('"M"', '"POST"'))
    report = shop.replay()
    assert (report.read, report.accepted, report.quarantined) == (2, 1, 1)
    assert ("3", "M", 1.0, 1.0) in shop.stored()
    assert shop.quarantined().select("file", "row", "value").rows() == [("a.csv", 6, "soon")]


def test_a_replayed_line_joins_its_order_and_is_a_duplicate_in_a_later_import(shop):
    shop.export("a.csv", *GOOD, "1,7,tea,2024-01-02,1 pc,1.00")
    shop.write_mapping(MAPPING + "decimal = '.'\n")
    shop.import_files()
    assert shop.quarantined().height == 1
    # The same row with a valid quantity.
    quarantined = shop.quarantined().with_columns(pl.col("record").str.replace("1 pc", "3"))
    quarantined.write_parquet(quarantine_file(shop.home, "shop"))
    assert (shop.replay().accepted, shop.quarantined().height) == (1, 0)
    assert [row[1:3] for row in shop.stored() if row[0] == "1"] == [
        ("tea", 1.0),
        ("milk", 2.0),
        ("tea", 3.0),
    ]
    shop.export("a.csv", *GOOD, "1,7,tea,2024-01-02,3,1.00")
    assert shop.import_files().tables["orders"].accepted == 0


def test_an_unreadable_row_stays_in_quarantine_when_replayed(shop):
    shop.export("a.csv", *GOOD, "3,9,tea,2024-01-05,1")
    shop.import_files()
    report = shop.replay()
    assert (report.accepted, report.quarantined, shop.quarantined().height) == (0, 1, 1)


def test_replay_with_a_mapping_that_needs_another_column_raises_with_its_line(shop):
    shop.export("a.csv", *GOOD, "3,9,tea,soon,1,1.00")
    shop.import_files()
    shop.write_mapping(
        MAPPING.replace('revenue = "paid"', 'revenue = "paid", location_id = "shop"')
    )
    with pytest.raises(InvalidInput, match=r"line 4.*'shop'"):
        shop.replay()


def test_the_summary_groups_reasons_by_frequency_with_examples(shop):
    shop.export("a.csv", *GOOD, *["3,9,tea,soon,1,1.00"] * 5, "3,9,M,2024-01-05,1,1.00")
    shop.import_files()
    groups = summarise_quarantine(shop.home, "shop")
    assert [(group["column"], group["rows"]) for group in groups] == [("when", 5), ("sku", 1)]
    assert [example["row"] for example in groups[0]["examples"]] == [5, 6, 7]


def test_a_dataset_without_imports_has_no_quarantine(shop):
    with pytest.raises(NotFound, match="shop"):
        summarise_quarantine(shop.home, "shop")


def test_products_missing_from_the_catalogue_are_accepted_and_counted(shop):
    shop.write_mapping(MAPPING + '[products]\npath = "p.txt"\ncolumns = { product_id = "sku" }\n')
    (shop.folder / "p.txt").write_text("sku,name\ntea,Tea\n")
    shop.export("a.csv", *GOOD)
    report = shop.import_files().tables["orders"]
    assert report.accepted == 3
    assert report.noted == {"product is not in the catalogue": 1}
