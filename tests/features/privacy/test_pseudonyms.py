"""Pseudonymised imports: no customer id is stored, and a customer has one pseudonym."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from features.dataset import open_dataset
from features.errors import ImportRejected, InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.source_columns import FAULT
from features.ingest.sources.mapped import read_mapped
from features.ingest.sources.pseudonymise import pseudonymise_column
from features.ingest.sources.replay import read_quarantined
from features.privacy.pseudonyms import Pseudonyms

NOW = datetime(2024, 6, 1)
KEY = Pseudonyms.from_key("a secret of sixteen letters")
MAPPING = """name = "shop"
pseudonymise = true
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
FILES = {
    "till.csv": "bon,who,sku,when,qty\n1,7001,tea,2024-01-02,1\n2,7002,tea,2024-01-03,1\n"
    "3,,tea,2024-01-03,1\n4,7003,tea,soon,1\n",
    "people.csv": "id,age,email\n7001,30,ada@example.org\n7002,40,bob@example.org\n",
    "mails.csv": "id,at,mail\n7001,2024-01-01,m1\n,2024-01-01,m2\n7004,never,m1\n",
}
IDS = ("7001", "7002", "7003", "7004")


class Shop:
    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        for name, text in FILES.items():
            (folder / name).write_text(text)
        self.map(MAPPING)

    def map(self, text: str) -> None:
        (self.folder / "shop.toml").write_text(text)

    def bring(self, key: Pseudonyms | None = KEY, share: float = 1.0):
        with TemporaryDirectory() as scratch:
            mapping = read_mapping(self.folder / "shop.toml")
            tables = read_mapped(mapping, NOW, Path(scratch), key)
            check = key.check if key else None
            return import_tables(self.home, "shop", tables, share, key_check=check)

    def replay(self):
        mapping = read_mapping(self.folder / "shop.toml")
        tables = read_quarantined(quarantine_file(self.home, "shop"), mapping, NOW)
        return import_tables(self.home, "shop", tables, 1.0, key_check=KEY.check)

    def table(self, name: str) -> pl.DataFrame:
        return open_dataset(self.home, "shop").table(name).collect().to_polars()

    def kept(self, *, stopped: bool = False) -> pl.DataFrame:
        return scan_quarantine(quarantine_file(self.home, "shop", stopped=stopped)).collect()

    def mentions(self, *words: str) -> set[str]:
        """Return the words that occur in any value of any file under the home."""
        texts = []
        for path in self.home.rglob("*.parquet"):
            frame = pl.read_parquet(path)
            texts += [str(row) for row in frame.rows()] + frame.columns
        texts += [path.read_text() for path in self.home.rglob("*") if _is_text(path)]
        return {word for word in words if any(word in text for text in texts)}


def _is_text(path: Path) -> bool:
    return path.is_file() and path.suffix != ".parquet"


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_no_file_contains_an_id_an_unmapped_column_or_the_key(shop):
    shop.bring()
    assert shop.kept().height == 3
    assert shop.mentions(*IDS, "email", "ada@example.org", KEY.key.decode()) == set()
    assert shop.mentions("age", "tea") == {"age", "tea"}


def test_a_customer_has_one_pseudonym_in_every_table_and_a_missing_id_stays_missing(shop):
    shop.bring()
    ada, bob = KEY.pseudonym("7001"), KEY.pseudonym("7002")
    assert shop.table("orders").sort("order_id")["customer_id"].to_list() == [ada, bob, None]
    assert set(shop.table("customers")["customer_id"]) == {ada, bob}
    assert shop.table("touchpoints")["customer_id"].to_list() == [ada]


def test_a_pseudonym_is_no_number_and_another_key_gives_another():
    assert KEY.pseudonym("7001")[0] == "p"
    assert KEY.pseudonym("7001") != Pseudonyms.from_key("another secret, as long").pseudonym("7001")
    assert "secret" not in repr(KEY)


def test_an_id_reads_the_same_however_a_source_stores_it():
    hidden = [
        pseudonymise_column(pl.DataFrame({"source:id": values, FAULT: None}), "source:id", KEY)[
            "source:id"
        ][0]
        for values in (["7001"], [" 7001 "], ["7001.0"], [7001], [7001.0])
    ]
    assert set(hidden) == {KEY.pseudonym("7001")}


def test_order_ids_made_of_customers_are_made_of_pseudonyms(shop):
    shop.map(MAPPING.replace('order_id = "bon", ', ""))
    shop.bring()
    assert shop.mentions(*IDS) == set()
    assert f"{KEY.pseudonym('7001')}/2024-01-02" in shop.table("orders")["order_id"].to_list()


def test_the_same_files_again_are_duplicates(shop):
    first, again = shop.bring(), shop.bring()
    assert again.snapshot == first.snapshot
    assert again.tables["orders"].accepted == 0


def test_rows_from_quarantine_keep_their_pseudonym(shop):
    shop.bring()
    mended = shop.kept().with_columns(pl.col("record").str.replace("soon", "2024-01-05"))
    mended.write_parquet(quarantine_file(shop.home, "shop"))
    assert shop.replay().tables["orders"].accepted == 1
    assert KEY.pseudonym("7003") in shop.table("orders")["customer_id"].to_list()


def test_a_rejected_import_shows_no_id(shop):
    with pytest.raises(ImportRejected) as stopped:
        shop.bring(share=0.1)
    assert shop.kept(stopped=True).height == 3
    assert shop.mentions(*IDS) == set()
    assert [id_ for id_ in IDS if id_ in stopped.value.message] == []


def test_an_invalid_id_is_quarantined_without_being_shown(shop):
    (shop.folder / "till.csv").write_text(
        f"bon,who,sku,when,qty\n1,70\ufffd01,tea,2024-01-02,1\n2,{'7001' * 200},tea,2024-01-02,1\n"
    )
    shop.bring()
    reasons = shop.kept().filter(table="orders")["reason"].to_list()
    assert reasons == [
        "customer_id holds damaged letters; is the encoding right?",
        "customer_id has more than 500 letters",
    ]
    assert shop.mentions("70\ufffd01", "7001") == set()


@pytest.mark.parametrize("key", [None, "", "too short"])
def test_a_missing_or_short_key_is_refused(key):
    with pytest.raises(InvalidInput, match="FORESELL_PSEUDONYM_KEY") as refused:
        Pseudonyms.from_key(key)
    assert "too short" not in refused.value.message


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (KEY, Pseudonyms.from_key("another secret, as long"), "is not the one"),
        (KEY, None, "has pseudonyms"),
        (None, KEY, "without pseudonyms"),
    ],
)
def test_a_dataset_keeps_the_key_of_its_first_import(shop, first, then, message):
    before = shop.bring(first)
    with pytest.raises(InvalidInput, match=message):
        shop.bring(then)
    assert open_dataset(shop.home, "shop").snapshot == before.snapshot


@pytest.mark.parametrize(
    "line",
    [
        'drop = [ { column = "who", in = ["7001"], reason = "staff" } ]',
        'returns = { column = "who", starts_with = "R" }',
    ],
)
def test_a_rule_that_needs_the_id_itself_is_refused_with_its_line(shop, line):
    shop.map(MAPPING.replace("[customers]", f"{line}\n[customers]"))
    with pytest.raises(InvalidInput, match=r"shop\.toml, line 6: .* keyed hash"):
        read_mapping(shop.folder / "shop.toml")


def test_a_customer_given_as_a_constant_is_refused(shop):
    text = MAPPING.replace('customer_id = "who", ', "")
    shop.map(text.replace("[customers]", 'constants = { customer_id = "7001" }\n[customers]'))
    with pytest.raises(InvalidInput, match="pseudonymise would not protect"):
        read_mapping(shop.folder / "shop.toml")


def test_an_unreadable_row_shows_none_of_its_fields(shop):
    (shop.folder / "till.csv").write_text(
        "bon,who,sku,when,qty\n1,7001,tea,2024-01-02,1\n2,x,7002,tea,2024-01-02,1\n3,y,7003\n"
    )
    shop.bring()
    assert shop.kept().filter(table="orders")["reason"].to_list() == ["the row cannot be read"] * 2
    assert shop.mentions(*IDS) == set()
