"""One's own data by a mapping: what bad rows and bad files cost, and what is said of them."""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput


@pytest.mark.parametrize(
    ("line", "column", "value", "reason"),
    [
        ("7,1,tea,2024-13-02,1,1", "When", "2024-13-02", "not a date"),
        ("7,1,tea,yesterday,1,1", "When", "yesterday", "not a date"),
        ("7,1,tea,1970-01-01,1,1", "When", "1970-01-01", "before 1990"),
        ("7,1,tea,2031-01-01,1,1", "When", "2031-01-01", "in the future"),
        ("7,1,tea,,1,1", "ts", None, "ts is missing"),
        ("7,,tea,2024-01-02,1,1", "order_id", None, "order_id is missing"),
        ("7,1,tea,2024-01-02,many,1", "Qty", "many", "quantity is not a number"),
        ("7,1,tea,2024-01-02,0,1", "Qty", "0", "no units"),
        ("7,1,tea,2024-01-02,1,1.2.3", "Price", "1.2.3", "unit_price is not a number"),
        ("7,1,tea,2024-01-02,1,-11062.06", "Price", "-11062.06", "unit_price is negative"),
        ("7,1,tea,2024-01-02,1,inf", "Price", "inf", "unit_price is not a number"),
        ("7,1,POST,2024-01-02,1,1", "Code", "POST", "not a product"),
        ("7,1,TEST1,2024-01-02,1,1", "Code", "TEST1", "a test"),
        ("7,1,tea,2024-01-02,1,99999", "Price", "99999", "a typing mistake"),
        ("7,1,t\ufffda,2024-01-02,1,1", "Code", "t\ufffda", "damaged letters"),
        ("7,1,tea,2024-01-02,1", "source.fault", "fewer fields", "cannot be read"),
        ("7,1,tea,2024-01-02,3000000,1", "Qty", "3000000", "beyond max_quantity = 1,000,000"),
    ],
)
def test_a_rejected_row_is_kept_with_what_its_source_wrote(
    bring, tmp_path, line, column, value, reason
):
    drop = """drop = [
        { column = "Code", in = ["POST", "M"], reason = "not a product" },
        { column = "Code", starts_with = "TEST", reason = "a test" },
        { column = "Price", above = 10000, reason = "a typing mistake" },
    ]
    """
    report, _, rejected = bring(tmp_path, till=["7,2,tea,2024-01-02,1,1", line], rules=drop)
    row = rejected.row(0, named=True)
    assert (report.tables["orders"].accepted, rejected.height) == (1, 1)
    assert row["column"].removeprefix("source:") == column
    assert (row["value"] or "").startswith(value or "")
    assert reason in row["reason"]


def test_a_broken_row_of_an_attribute_table_is_kept_out_and_other_columns_are_not_stored(
    bring, tmp_path
):
    products = """
    [products]
    path = "p.csv"
    columns = { product_id = "Code", name = "Name", colour = "Colour" }
    """
    text = "Code,Name,Colour,Secret\ntea,Tea,,x\ncocoa,Cocoa\n"
    report, dataset, _ = bring(tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text)
    assert (report.tables["products"].accepted, report.tables["products"].quarantined) == (1, 1)
    assert dataset.columns("products") == ["product_id", "name", "colour"]


def test_words_whose_letters_look_damaged_come_in_and_are_counted(bring, tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    text = "Code,Name\ntea,Tea\ncheese,KÃ¤se\nrolls,Br\ufffdtchen\n"
    report, _, _ = bring(tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text)
    assert report.tables["products"].accepted == 3
    assert report.tables["products"].noted == {"letters look damaged; is the encoding right?": 2}


def test_a_field_that_swallowed_its_neighbours_is_no_id(bring, tmp_path):
    lines = ["7,1,tea,2024-01-02,1,1", f"7,2,{'x' * 2000},2024-01-02,1,1"]
    _, _, rejected = bring(tmp_path, till=lines)
    assert rejected.get_column("reason").to_list() == ["product_id has more than 500 letters"]
    assert len(rejected.item(0, "value")) == 200


@pytest.mark.parametrize(
    ("change", "files", "line", "said"),
    [
        (('"till*.csv"', '"*.txt"'), {}, 3, "matches no file"),
        (('"Price"', '"Paid"'), {"till": []}, 4, "no column 'Paid'"),
        (("columns", 'constants = { line = "x" }\ncolumns'), {"till": []}, 4, "'x'"),
        (("x", "x"), {"till": ""}, 3, "is empty"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_with_the_mappings_line(
    bring, till_mapping, tmp_path, change, files, line, said
):
    with pytest.raises(InvalidInput) as caught:
        bring(tmp_path, mapping=till_mapping.replace(*change), **files)
    assert f"shop.toml, line {line}: " in caught.value.message
    assert said in caught.value.message


def test_a_column_that_the_file_lacks_is_named_with_those_it_has(bring, tmp_path):
    with pytest.raises(InvalidInput, match="'Price'") as caught:
        bring(tmp_path, till=[], header="Customer,Invoice,Code,When,Qty")
    assert "Customer, Invoice, Code, When, Qty" in caught.value.message


TILL = ["Customer", "Invoice", "Code", "When", "Qty", "Price"]
GOOD = [
    ["7", "1", "tea", "2024-01-02 10:00", "1", "2.5"],
    ["7", "1", "milk", "2024-01-02 10:00", "2", "1.0"],
    ["8", "2", "tea", "2024-02-03 11:00", "-1", "2.5"],
    ["", "3", "jam", "2024-03-04 12:00", "4", "0.5"],
]
junk = st.text(st.characters(codec="utf-8"), max_size=12)
# Each is bad in at least one way: no date, no number, or not as many fields as the header.
no_date = st.tuples(
    junk, st.sampled_from(["1", "2", "x"]), junk, junk.map(lambda text: "?" + text), junk, junk
)
no_number = junk.map(lambda text: ["7", "1", "tea", "2024-01-02", "#" + text, "1"])
wrong_width = st.lists(junk, min_size=7, max_size=9).map(lambda fields: [*fields, "x"])
bad_row = st.one_of(no_date.map(list), no_number, wrong_width)


@pytest.fixture(scope="module")
def clean(bring, tmp_path_factory):
    """Snapshot that the good rows give by themselves."""
    lines = [",".join(row) for row in GOOD]
    return bring(tmp_path_factory.mktemp("clean"), till=lines)[0].snapshot


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), bad_row), max_size=12), st.booleans())
def test_bad_rows_never_raise_never_vanish_and_never_change_what_good_rows_give(
    bring, clean, bad, quoted
):
    rows = [*GOOD]
    for place, row in bad:
        rows.insert(place, row)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "till.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
            writer.writerows([TILL, *rows])
        report, _, rejected = bring(folder)
    found = report.tables["orders"]
    assert found.read == len(rows)
    assert (found.accepted, found.quarantined, found.duplicates) == (len(GOOD), len(bad), 0)
    assert rejected.height == len(bad)
    assert report.snapshot == clean


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["", "utf-8-sig"]), st.booleans())
def test_whatever_bytes_stand_in_a_file_its_good_rows_come_in_and_none_vanishes(
    bring, noise, marked, cut_off
):
    lines = "\n".join([",".join(row) for row in [TILL, *GOOD]] + [""])
    text = lines.encode(marked or "utf-8")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "till.csv").write_bytes(text + noise + (b"" if cut_off else b"\n"))
        report, _, rejected = bring(folder)
    found = report.tables["orders"]
    assert found.read == found.accepted + found.quarantined + found.duplicates
    assert found.accepted >= len(GOOD)
    assert rejected.height == found.quarantined
