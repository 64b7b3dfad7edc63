"""One's own data by a mapping: what each rule of DESIGN makes of rows, and what bad rows cost."""

import csv
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import to_day
from features.dataset import open_dataset
from features.errors import InvalidInput
from features.intake import import_tables
from features.mapping_file import read_mapping
from features.sources.mapped import read_mapped

NOW = datetime(2024, 6, 1)
HEADER = "Customer,Invoice,Code,When,Qty,Price"
MAPPING = """name = "shop"
[orders]
path = "*.csv"
columns = { customer_id = "Customer", order_id = "Invoice", product_id = "Code", ts = "When", quantity = "Qty", unit_price = "Price" }
"""  # noqa: E501


def bring(folder: Path, mapping: str = MAPPING, **files: str):
    """Import files by a mapping; returns the report, the dataset and the quarantine."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "shop.toml").write_text(mapping)
    with TemporaryDirectory() as scratch:
        tables = read_mapped(read_mapping(folder / "shop.toml"), NOW, Path(scratch))
        report = import_tables(folder / "home", "shop", tables, max_bad_share=1.0)
    rejected = pl.read_parquet(folder / "home" / "quarantine" / "shop.parquet")
    return report, open_dataset(folder / "home", "shop"), rejected


def orders(folder: Path, lines: list[str], mapping: str = MAPPING, header: str = HEADER):
    """Stored order lines of one file."""
    dataset = bring(folder, mapping, a="\n".join([header, *lines, ""]))[1]
    return dataset.table("orders").collect().to_polars()


def only(*columns: str, extra: str = "") -> str:
    named = ", ".join(f'{column} = "{column}"' for column in columns)
    return f'name = "shop"\n[orders]\npath = "*.csv"\ncolumns = {{ {named} }}\n{extra}'


def test_revenue_is_made_of_unit_price_and_quantity(tmp_path):
    stored = orders(tmp_path, ["7,1001,tea,2024-01-02 10:30,3,2.50"])
    assert stored.row(0, named=True) == {
        "customer_id": "7",
        "order_id": "1001",
        "line": 0,
        "product_id": "tea",
        "ts": datetime(2024, 1, 2, 10, 30),
        "day": to_day("2024-01-02"),
        "quantity": 3.0,
        "revenue": 7.5,
        "kind": "sale",
    }


def test_lines_of_an_order_are_numbered_as_they_stand(tmp_path):
    lines = [f"7,{order},{code},2024-01-02,1,1" for order, code in ("1a", "2b", "1c", "1d")]
    stored = orders(tmp_path, lines)
    assert stored.select("order_id", "line", "product_id").rows() == [
        ("1", 0, "a"),
        ("1", 1, "c"),
        ("1", 2, "d"),
        ("2", 0, "b"),
    ]


def test_without_order_ids_a_customers_day_in_a_place_is_one_order(tmp_path):
    mapping = only("customer_id", "ts", "revenue", "location_id")
    header = "customer_id,ts,revenue,location_id"
    lines = ["7,2024-01-02,1,x", "7,2024-01-02,2,x", "7,2024-01-02,3,y", "7,2024-01-03,4,x"]
    stored = orders(tmp_path, lines, mapping, header)
    assert stored.get_column("order_id").n_unique() == 3
    assert stored.get_column("quantity").to_list() == [1.0] * 4
    assert "product_id" not in stored.columns


def test_a_negative_quantity_is_a_return(tmp_path):
    row = orders(tmp_path, ["7,1,tea,2024-01-02,-2,3"]).row(0, named=True)
    assert (row["kind"], row["quantity"], row["revenue"]) == ("return", -2.0, -6.0)


def test_a_return_by_rule_gets_its_negative_sign_and_is_counted(tmp_path):
    mapping = MAPPING + 'returns = { column = "Invoice", starts_with = "C" }\n'
    text = f"{HEADER}\n7,C1,tea,2024-01-02,2,3\n7,1,tea,2024-01-02,2,3\n"
    report, dataset, _ = bring(tmp_path, mapping, a=text)
    stored = dataset.table("orders").collect().to_polars().sort("kind")
    assert stored.select("kind", "quantity", "revenue").rows() == [
        ("return", -2.0, -6.0),
        ("sale", 2.0, 6.0),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]


def test_an_amount_below_zero_is_a_return_where_there_are_no_quantities(tmp_path):
    mapping = only("customer_id", "ts", "revenue")
    stored = orders(tmp_path, ["7,2024-01-02,-5"], mapping, "customer_id,ts,revenue")
    assert stored.select("kind", "quantity", "revenue").row(0) == ("return", -1.0, -5.0)


def test_quantities_above_the_cap_are_counted_as_the_cap(tmp_path):
    text = f"{HEADER}\n7,1,fuel,2024-01-02,4000,0.01\n"
    report, dataset, _ = bring(tmp_path, MAPPING + "cap_quantity = 24\n", a=text)
    row = dataset.table("orders").collect().to_polars().row(0, named=True)
    assert (row["quantity"], row["revenue"]) == (24.0, 40.0)
    assert list(report.tables["orders"].touched.values()) == [1]


def test_what_is_no_unit_of_a_product_is_kept_as_a_purchase_without_one(tmp_path):
    text = f"{HEADER}\n7,1,fuel,2024-01-02,4000,0.01\n7,1,tea,2024-01-02,2,3\n"
    rule = 'no_product = [ { column = "Code", in = ["fuel"] } ]\n'
    report, dataset, _ = bring(tmp_path, MAPPING + rule, a=text)
    rows = dataset.table("orders").collect().to_polars().sort("line")
    assert rows.select("product_id", "quantity", "revenue", "kind").rows() == [
        (None, 1.0, 40.0, "sale"),
        ("tea", 2.0, 6.0, "sale"),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]
    again, _, _ = bring(tmp_path, MAPPING + rule, a=text)
    assert (again.tables["orders"].accepted, again.tables["orders"].duplicates) == (0, 2)


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
def test_a_rejected_row_is_kept_with_what_its_source_wrote(tmp_path, line, column, value, reason):
    drop = """drop = [
        { column = "Code", in = ["POST", "M"], reason = "not a product" },
        { column = "Code", starts_with = "TEST", reason = "a test" },
        { column = "Price", above = 10000, reason = "a typing mistake" },
    ]
    """
    text = f"{HEADER}\n7,2,tea,2024-01-02,1,1\n{line}\n"
    report, _, rejected = bring(tmp_path, MAPPING + drop, a=text)
    row = rejected.row(0, named=True)
    assert (report.tables["orders"].accepted, rejected.height) == (1, 1)
    assert row["column"].removeprefix("source:") == column
    assert (row["value"] or "").startswith(value or "")
    assert reason in row["reason"]


@pytest.mark.parametrize(
    ("written", "options", "meant"),
    [
        ("1234.5", "", 1234.5),
        ('"1,234.50"', "", 1234.5),
        ('"1.234,50"', 'decimal = ","', 1234.5),
        ("€ 12.30", "", 12.3),
        ('"12,30 €"', 'decimal = ","', 12.3),
        ("1e3", "", 1000.0),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path, written, options, meant):
    mapping = only("ts", "revenue", extra=options)
    stored = orders(tmp_path, [f"2024-01-02,{written}"], mapping, "ts,revenue")
    assert stored.item(0, "revenue") == meant


@pytest.mark.parametrize(
    ("written", "options", "meant"),
    [
        ("2024-01-02", "", datetime(2024, 1, 2)),
        ("2024-01-02T03:04:05.5", "", datetime(2024, 1, 2, 3, 4, 5, 500000)),
        ("2.1.2024 3:04", 'date_format = "%d.%m.%Y %H:%M"', datetime(2024, 1, 2, 3, 4)),
        ("20240102", 'date_format = "%Y%m%d"', datetime(2024, 1, 2)),
        ("2024-W02", 'date_format = "%G-W%V"', datetime(2024, 1, 8)),
        ("2024-03", 'date_format = "%Y-%m"', datetime(2024, 3, 1)),
        ("1704153600", 'date_format = "%s"', datetime(2024, 1, 2, 1)),
        ("1704153600123", 'date_format = "%s"', datetime(2024, 1, 2, 1, 0, 0, 123000)),
        ("3", "first_week = 2024-01-04", datetime(2024, 1, 18)),
        ("2024-01-02 23:30:00", 'time_zone = "UTC"', datetime(2024, 1, 3, 0, 30)),
        ("2024-01-02T23:30:00Z", "", datetime(2024, 1, 3, 0, 30)),
        (
            "2024-01-02 23:30 -0500",
            'date_format = "%Y-%m-%d %H:%M %z"',
            datetime(2024, 1, 3, 5, 30),
        ),
    ],
)
def test_instants_become_the_retailers_local_time(tmp_path, written, options, meant):
    mapping = 'local_time_zone = "Europe/Berlin"\n' + only("ts", extra=options)
    stored = orders(tmp_path, [f"{written},"], mapping, "ts,x")
    assert stored.item(0, "ts") == meant
    assert stored.item(0, "day") == to_day(meant)


def test_each_source_of_a_table_has_its_own_names_rules_and_constants(tmp_path):
    mapping = """name = "shop"
    [[orders]]
    path = "till.csv"
    columns = { order_id = "bon", product_id = "code", ts = "when" }
    constants = { channel = "shop" }
    drop = [{ column = "code", in = ["M"], reason = "not a product" }]
    [[orders]]
    path = "web.csv"
    columns = { order_id = "id", product_id = "code", ts = "when", customer_id = "user" }
    constants = { channel = "web" }
    """
    till = "bon,code,when\nt1,tea,2024-01-02\nt2,M,2024-01-02\n"
    web = "id,user,code,when\nw1,7,M,2024-01-02\nw2,7,tea,soon\n"
    report, dataset, rejected = bring(tmp_path, mapping, till=till, web=web)
    stored = dataset.table("orders").collect().to_polars()
    assert stored.select("order_id", "channel", "customer_id", "product_id").rows() == [
        ("t1", "shop", None, "tea"),
        ("w1", "web", "7", "M"),
    ]
    assert report.tables["orders"].read == 4
    assert rejected.get_column("value").to_list() == ["M", "soon"]


def test_ids_are_the_same_text_whether_they_were_stored_as_numbers_or_as_text(tmp_path):
    frame = pl.DataFrame({"customer_id": [17850.0, None], "ts": [datetime(2024, 1, 2)] * 2})
    frame.write_parquet(tmp_path / "a.parquet")
    mapping = only("customer_id", "ts").replace("*.csv", "*.parquet")
    stored = bring(tmp_path, mapping)[1].table("orders").collect().to_polars()
    assert set(stored.get_column("customer_id")) == {"17850", None}


def test_a_ready_sales_table_and_a_promotions_last_day(tmp_path):
    mapping = """name = "shop"
    [sales]
    path = "sales.csv"
    columns = { product_id = "item", day = "date", quantity = "units", on_sale = "sale" }
    [promotions]
    path = "promotions.csv"
    columns = { product_id = "item", from_day = "from", last_day = "until" }
    constants = { kind = "mailer" }
    """
    sales = "item,date,units,sale\ntea,2024-01-02,0,yes\ntea,2024-01-03,-1,no\n"
    promotions = "item,from,until\ntea,2031-01-01,2031-01-07\n"
    report, dataset, _ = bring(tmp_path, mapping, sales=sales, promotions=promotions)
    assert (report.tables["sales"].accepted, report.tables["sales"].quarantined) == (1, 1)
    assert dataset.table("sales").collect().to_polars().get_column("on_sale").to_list() == [True]
    row = dataset.table("promotions").collect().to_polars().row(0, named=True)
    assert row["to_day"] - row["from_day"] == 7


def test_a_broken_row_of_an_attribute_table_is_kept_out_and_other_columns_are_not_stored(tmp_path):
    mapping = (
        MAPPING.replace("*.csv", "a.csv")
        + """
    [products]
    path = "p.csv"
    columns = { product_id = "Code", name = "Name", colour = "Colour" }
    """
    )
    products = "Code,Name,Colour,Secret\ntea,Tea,,x\ncocoa,Cocoa\n"
    report, dataset, _ = bring(
        tmp_path, mapping, a=f"{HEADER}\n7,1,tea,2024-01-02,1,1\n", p=products
    )
    assert (report.tables["products"].accepted, report.tables["products"].quarantined) == (1, 1)
    assert dataset.columns("products") == ["product_id", "name", "colour"]


def test_of_what_lines_tell_of_a_product_each_attributes_last_word_counts(tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    text = "Code,Name\ntea,Tea\ntea,Green tea\ntea,\njam,Jam\n"
    mapping = MAPPING.replace("*.csv", "a.csv") + products
    report, dataset, _ = bring(tmp_path, mapping, a=f"{HEADER}\n7,1,tea,2024-01-02,1,1\n", p=text)
    assert dataset.table("products").collect().to_polars().rows() == [
        ("jam", "Jam"),
        ("tea", "Green tea"),
    ]
    found = report.tables["products"]
    assert (found.read, found.accepted, found.duplicates) == (4, 2, 2)


def test_lines_that_mention_no_customer_are_no_rows_of_the_customers_they_mention(tmp_path):
    customers = '[customers]\npath = "*.csv"\ncolumns = { customer_id = "Customer" }\n'
    lines = ["7,1,tea,2024-01-02,1,1", ",2,tea,2024-01-02,1,1", "8,3,tea,2024-01-02"]
    report, _, _ = bring(tmp_path, MAPPING + customers, a="\n".join([HEADER, *lines, ""]))
    found = report.tables["customers"]
    assert (found.read, found.accepted, found.quarantined) == (1, 1, 0)
    assert report.tables["orders"].quarantined == 1


def test_words_whose_letters_look_damaged_come_in_and_are_counted(tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    mapping = MAPPING.replace("*.csv", "a.csv") + products
    text = "Code,Name\ntea,Tea\ncheese,KÃ¤se\nrolls,Br\ufffdtchen\n"
    report, _, _ = bring(tmp_path, mapping, a=f"{HEADER}\n7,1,tea,2024-01-02,1,1\n", p=text)
    assert report.tables["products"].accepted == 3
    assert report.tables["products"].noted == {"letters look damaged; is the encoding right?": 2}


def test_a_field_that_swallowed_its_neighbours_is_no_id(tmp_path):
    lines = ["7,1,tea,2024-01-02,1,1", f"7,2,{'x' * 2000},2024-01-02,1,1"]
    _, _, rejected = bring(tmp_path, a="\n".join([HEADER, *lines, ""]))
    assert rejected.get_column("reason").to_list() == ["product_id has more than 500 letters"]
    assert len(rejected.item(0, "value")) == 200


@pytest.mark.parametrize(
    ("columns", "types"), [("Qty", (pl.Int64, pl.String)), ("Code", (pl.Int64, pl.String))]
)
def test_files_that_store_a_column_in_different_types_are_read_alike(tmp_path, columns, types):
    row = {"Customer": "7", "Code": "5", "When": datetime(2024, 1, 2), "Qty": "3", "Price": 1.0}
    for number, dtype in enumerate(types):
        frame = pl.DataFrame({"Invoice": [number], **{name: [row[name]] for name in row}})
        frame.cast({columns: dtype}).write_parquet(tmp_path / f"{number}.parquet")
    report, dataset, _ = bring(tmp_path, MAPPING.replace("*.csv", "*.parquet"))
    assert report.tables["orders"].accepted == 2
    stored = dataset.table("orders").collect().to_polars()
    assert stored.select("product_id", "quantity").rows() == [("5", 3.0)] * 2


@pytest.mark.parametrize(
    ("change", "files", "line", "said"),
    [
        (('"*.csv"', '"*.txt"'), {}, 3, "matches no file"),
        (('"Price"', '"Paid"'), {"a": f"{HEADER}\n"}, 4, "no column 'Paid'"),
        (("columns", 'constants = { line = "x" }\ncolumns'), {"a": f"{HEADER}\n"}, 4, "'x'"),
        (("x", "x"), {"a": ""}, 3, "is empty"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_with_the_mappings_line(
    tmp_path, change, files, line, said
):
    with pytest.raises(InvalidInput) as caught:
        bring(tmp_path, MAPPING.replace(*change), **files)
    assert f"shop.toml, line {line}: " in caught.value.message
    assert said in caught.value.message


def test_a_column_that_the_file_lacks_is_named_with_those_it_has(tmp_path):
    with pytest.raises(InvalidInput, match="'Price'") as caught:
        bring(tmp_path, a="Customer,Invoice,Code,When,Qty\n")
    assert "Customer, Invoice, Code, When, Qty" in caught.value.message


def test_importing_twice_changes_nothing(tmp_path):
    text = f"{HEADER}\n7,1,tea,2024-01-02,1,1\n7,1,tea,2024-01-02,1,1\n"
    first = bring(tmp_path, a=text)[0]
    second = bring(tmp_path, a=text)[0]
    assert first.snapshot == second.snapshot
    assert (first.tables["orders"].accepted, second.tables["orders"].duplicates) == (2, 2)


def test_files_that_overlap_add_only_what_is_new(tmp_path):
    # The second export begins in the middle of order 2, and order 3 has one line twice.
    lines = [f"7,{order},tea,2024-01-02,{n},1" for n, order in enumerate("1122333", 1)]
    lines.append(lines[-1])
    january = "\n".join([HEADER, *lines[:6], ""])
    february = "\n".join([HEADER, *lines[3:], ""])
    report, dataset, _ = bring(tmp_path, january=january, february=february)
    stored = dataset.table("orders").collect().to_polars()
    assert stored.get_column("quantity").sort().to_list() == [1, 2, 3, 4, 5, 6, 7, 7]
    assert report.tables["orders"].duplicates == 3


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


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), bad_row), max_size=12), st.booleans())
def test_bad_rows_never_raise_never_vanish_and_never_change_what_good_rows_give(bad, quoted):
    rows = [*GOOD]
    for place, row in bad:
        rows.insert(place, row)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "a.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
            writer.writerows([HEADER.split(","), *rows])
        report, _, rejected = bring(folder)
    found = report.tables["orders"]
    assert found.read == len(rows)
    assert (found.accepted, found.quarantined, found.duplicates) == (len(GOOD), len(bad), 0)
    assert rejected.height == len(bad)
    assert report.snapshot == _clean()


@cache
def _clean() -> str:
    """Snapshot that the good rows give by themselves."""
    with TemporaryDirectory() as name:
        text = "\n".join([HEADER, *(",".join(row) for row in GOOD), ""])
        return bring(Path(name), a=text)[0].snapshot


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["", "utf-8-sig"]), st.booleans())
def test_whatever_bytes_stand_in_a_file_its_good_rows_come_in_and_none_vanishes(
    noise, marked, cut_off
):
    lines = "\n".join([HEADER, *(",".join(row) for row in GOOD), ""])
    text = lines.encode(marked or "utf-8")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.csv").write_bytes(text + noise + (b"" if cut_off else b"\n"))
        report, _, rejected = bring(folder)
    found = report.tables["orders"]
    assert found.read == found.accepted + found.quarantined + found.duplicates
    assert found.accepted >= len(GOOD)
    assert rejected.height == found.quarantined
