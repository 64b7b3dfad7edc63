"""Invalid rows and files of mapped sources: reasons, messages, and no effect on valid rows."""

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
def test_a_rejected_row_is_quarantined_with_its_raw_value_and_reason(
    import_files, tmp_path, line, column, value, reason
):
    drop = """drop = [
        { column = "Code", in = ["POST", "M"], reason = "not a product" },
        { column = "Code", starts_with = "TEST", reason = "a test" },
        { column = "Price", above = 10000, reason = "a typing mistake" },
    ]
    """
    report, _, rejected = import_files(tmp_path, till=["7,2,tea,2024-01-02,1,1", line], rules=drop)
    row = rejected.row(0, named=True)
    assert (report.tables["orders"].accepted, rejected.height) == (1, 1)
    assert row["column"].removeprefix("source:") == column
    assert (row["value"] or "").startswith(value or "")
    assert reason in row["reason"]


def test_a_broken_row_of_an_attribute_table_is_quarantined_and_unmapped_columns_are_not_stored(
    import_files, tmp_path
):
    products = """
    [products]
    path = "p.csv"
    columns = { product_id = "Code", name = "Name", colour = "Colour" }
    """
    text = "Code,Name,Colour,Secret\ntea,Tea,,x\ncocoa,Cocoa\n"
    report, dataset, _ = import_files(
        tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text
    )
    assert (report.tables["products"].accepted, report.tables["products"].quarantined) == (1, 1)
    assert dataset.columns("products") == ["product_id", "name", "colour"]


def test_damaged_text_is_accepted_and_counted(import_files, tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    text = "Code,Name\ntea,Tea\ncheese,KÃ¤se\nrolls,Br\ufffdtchen\n"
    report, _, _ = import_files(tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text)
    assert report.tables["products"].accepted == 3
    assert report.tables["products"].noted == {"letters look damaged; is the encoding right?": 2}


def test_an_id_that_contains_neighbouring_fields_is_rejected(import_files, tmp_path):
    lines = ["7,1,tea,2024-01-02,1,1", f"7,2,{'x' * 2000},2024-01-02,1,1"]
    _, _, rejected = import_files(tmp_path, till=lines)
    assert rejected.get_column("reason").to_list() == ["product_id has more than 500 letters"]
    assert len(rejected.item(0, "value")) == 200


@pytest.mark.parametrize(
    ("change", "files", "line", "message"),
    [
        (('"till*.csv"', '"*.txt"'), {}, 3, "matches no file"),
        (('"Price"', '"Paid"'), {"till": []}, 4, "no column 'Paid'"),
        (("columns", 'constants = { line = "x" }\ncolumns'), {"till": []}, 4, "'x'"),
        (("x", "x"), {"till": ""}, 3, "is empty"),
    ],
)
def test_an_error_of_a_source_names_the_mapping_line(
    import_files, till_mapping, tmp_path, change, files, line, message
):
    with pytest.raises(InvalidInput) as caught:
        import_files(tmp_path, mapping=till_mapping.replace(*change), **files)
    assert f"shop.toml, line {line}: " in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Customer,Invoice,Code,When,Qty,Price", "the header again"),
        (",Total,,2024-01-02,3,7.50", "a total, not a row of its own"),
        (",Gesamt:,,2024-01-02,3,7.50", "a total, not a row of its own"),
        ("TOTAL,,,,3,7.50", "a total, not a row of its own"),
        ("7,1,Summe,2024-01-02,3,7.50", "a total, not a row of its own"),
    ],
)
def test_a_repeated_header_and_a_total_are_dropped(import_files, tmp_path, line, reason):
    lines = ["7,1,tea,2024-01-02,1,2.5", "Total,1,milk,2024-01-02,2,2.5", line]
    report, dataset, rejected = import_files(tmp_path, till=lines)
    assert (report.tables["orders"].accepted, report.tables["orders"].dropped) == (2, 1)
    assert rejected.get_column("reason").to_list() == [reason]
    assert dataset.table("orders").collect().to_polars().get_column("revenue").sum() == 7.5


def test_a_column_named_twice_is_asked_for_only_if_it_is_read(import_files, tmp_path):
    header = "Customer,Invoice,Code,When,Qty,Price,Price"
    with pytest.raises(InvalidInput, match=r"till.csv names the column 'Price' more than once"):
        import_files(tmp_path, till=["7,1,tea,2024-01-02,1,9,2"], header=header)


def test_a_missing_column_is_named_with_the_existing_ones(import_files, tmp_path):
    with pytest.raises(InvalidInput, match="'Price'") as caught:
        import_files(tmp_path, till=[], header="Customer,Invoice,Code,When,Qty")
    assert "Customer, Invoice, Code, When, Qty" in caught.value.message


TILL = ["Customer", "Invoice", "Code", "When", "Qty", "Price"]
GOOD = [
    ["7", "1", "tea", "2024-01-02 10:00", "1", "2.5"],
    ["7", "1", "milk", "2024-01-02 10:00", "2", "1.0"],
    ["8", "2", "tea", "2024-02-03 11:00", "-1", "2.5"],
    ["", "3", "jam", "2024-03-04 12:00", "4", "0.5"],
]
junk = st.text(st.characters(codec="utf-8"), max_size=12)
# Each row has at least one error: no date, no number, or another number of fields.
no_date = st.tuples(
    junk, st.sampled_from(["1", "2", "x"]), junk, junk.map(lambda text: "?" + text), junk, junk
)
no_number = junk.map(lambda text: ["7", "1", "tea", "2024-01-02", "#" + text, "1"])
wrong_width = st.lists(junk, min_size=7, max_size=9).map(lambda fields: [*fields, "x"])
bad_row = st.one_of(no_date.map(list), no_number, wrong_width)


@pytest.fixture(scope="module")
def clean(import_files, tmp_path_factory):
    """The snapshot of the valid rows alone."""
    lines = [",".join(row) for row in GOOD]
    return import_files(tmp_path_factory.mktemp("clean"), till=lines)[0].snapshot


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), bad_row), max_size=12), st.booleans())
def test_invalid_rows_are_all_quarantined_and_do_not_change_the_snapshot_of_valid_rows(
    import_files, clean, bad, quoted
):
    rows = [*GOOD]
    for position, row in bad:
        rows.insert(position, row)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "till.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
            writer.writerows([TILL, *rows])
        report, _, rejected = import_files(folder)
    counts = report.tables["orders"]
    assert counts.read == len(rows)
    assert (counts.accepted, counts.quarantined, counts.duplicates) == (len(GOOD), len(bad), 0)
    assert rejected.height == len(bad)
    assert report.snapshot == clean


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["", "utf-8-sig"]), st.booleans())
def test_arbitrary_bytes_at_the_end_of_a_file_leave_its_valid_rows_accepted(
    import_files, noise, encoding, truncated
):
    lines = "\n".join([",".join(row) for row in [TILL, *GOOD]] + [""])
    text = lines.encode(encoding or "utf-8")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "till.csv").write_bytes(text + noise + (b"" if truncated else b"\n"))
        report, _, rejected = import_files(folder)
    counts = report.tables["orders"]
    assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
    assert counts.accepted >= len(GOOD)
    assert rejected.height == counts.quarantined
