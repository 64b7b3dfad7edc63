"""Canonical rows of mapped sources: order lines, numbers, dates, ids, other tables."""

from datetime import datetime

import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset


@pytest.fixture
def orders(import_files, tmp_path):
    """Returns the stored order lines of one file."""

    def orders(lines: list[str], **options: str) -> pl.DataFrame:
        return table_of(import_files(tmp_path, till=lines, **options)[1], "orders")

    return orders


def table_of(dataset: Dataset, table: str) -> pl.DataFrame:
    return dataset.table(table).collect().to_polars()


def mapping_of(*columns: str, extra: str = "") -> str:
    """Return a mapping of columns that have canonical names."""
    pairs = ", ".join(f'{column} = "{column}"' for column in columns)
    return f'name = "shop"\n[orders]\npath = "*.csv"\ncolumns = {{ {pairs} }}\n{extra}'


def test_revenue_is_unit_price_times_quantity(orders):
    stored = orders(["7,1001,tea,2024-01-02 10:30,3,2.50"])
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


def test_lines_of_an_order_are_numbered_in_file_order(orders):
    lines = [f"7,{order},{code},2024-01-02,1,1" for order, code in ("1a", "2b", "1c", "1d")]
    stored = orders(lines)
    assert stored.select("order_id", "line", "product_id").rows() == [
        ("1", 0, "a"),
        ("1", 1, "c"),
        ("1", 2, "d"),
        ("2", 0, "b"),
    ]


def test_without_order_ids_a_customer_location_and_day_are_one_order(orders):
    mapping = mapping_of("customer_id", "ts", "revenue", "location_id")
    header = "customer_id,ts,revenue,location_id"
    lines = ["7,2024-01-02,1,x", "7,2024-01-02,2,x", "7,2024-01-02,3,y", "7,2024-01-03,4,x"]
    stored = orders(lines, mapping=mapping, header=header)
    assert stored.get_column("order_id").n_unique() == 3
    assert stored.get_column("quantity").to_list() == [1.0] * 4
    assert "product_id" not in stored.columns


def test_a_negative_quantity_is_a_return(orders):
    row = orders(["7,1,tea,2024-01-02,-2,3"]).row(0, named=True)
    assert (row["kind"], row["quantity"], row["revenue"]) == ("return", -2.0, -6.0)


def test_amounts_of_a_return_by_rule_become_negative_and_are_counted(import_files, tmp_path):
    rule = 'returns = { column = "Invoice", starts_with = "C" }\n'
    lines = ["7,C1,tea,2024-01-02,2,3", "7,1,tea,2024-01-02,2,3"]
    report, dataset, _ = import_files(tmp_path, till=lines, rules=rule)
    stored = table_of(dataset, "orders").sort("kind")
    assert stored.select("kind", "quantity", "revenue").rows() == [
        ("return", -2.0, -6.0),
        ("sale", 2.0, 6.0),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]


def test_without_quantities_a_negative_amount_is_a_return(orders):
    mapping = mapping_of("customer_id", "ts", "revenue")
    stored = orders(["7,2024-01-02,-5"], mapping=mapping, header="customer_id,ts,revenue")
    assert stored.select("kind", "quantity", "revenue").row(0) == ("return", -1.0, -5.0)


def test_quantities_above_the_cap_are_replaced_by_it(import_files, tmp_path):
    lines = ["7,1,fuel,2024-01-02,4000,0.01"]
    report, dataset, _ = import_files(tmp_path, till=lines, rules="cap_quantity = 24\n")
    row = table_of(dataset, "orders").row(0, named=True)
    assert (row["quantity"], row["revenue"]) == (24.0, 40.0)
    assert list(report.tables["orders"].touched.values()) == [1]


def test_a_no_product_line_becomes_a_purchase_without_a_product(import_files, tmp_path):
    lines = ["7,1,fuel,2024-01-02,4000,0.01", "7,1,tea,2024-01-02,2,3"]
    rule = 'no_product = [ { column = "Code", in = ["fuel"] } ]\n'
    report, dataset, _ = import_files(tmp_path, till=lines, rules=rule)
    rows = table_of(dataset, "orders").sort("line")
    assert rows.select("product_id", "quantity", "revenue", "kind").rows() == [
        (None, 1.0, 40.0, "sale"),
        ("tea", 2.0, 6.0, "sale"),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]
    repeated, _, _ = import_files(tmp_path, till=lines, rules=rule)
    assert (repeated.tables["orders"].accepted, repeated.tables["orders"].duplicates) == (0, 2)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("1234.5", "", 1234.5),
        ('"1,234.50"', "", 1234.5),
        ('"1.234,50"', 'decimal = ","', 1234.5),
        ("€ 12.30", "", 12.3),
        ('"12,30 €"', 'decimal = ","', 12.3),
        ("1e3", "", 1000.0),
    ],
)
def test_numbers_are_parsed_with_separators_and_signs(orders, text, options, expected):
    mapping = mapping_of("ts", "revenue", extra=options)
    stored = orders([f"2024-01-02,{text}"], mapping=mapping, header="ts,revenue")
    assert stored.item(0, "revenue") == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
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
def test_timestamps_are_converted_to_local_time(orders, text, options, expected):
    mapping = 'local_time_zone = "Europe/Berlin"\n' + mapping_of("ts", extra=options)
    stored = orders([f"{text},"], mapping=mapping, header="ts,x")
    assert stored.item(0, "ts") == expected
    assert stored.item(0, "day") == to_day(expected)


def test_each_source_of_a_table_has_separate_names_rules_and_constants(
    orders, import_files, tmp_path
):
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
    report, dataset, rejected = import_files(tmp_path, mapping=mapping, till=till, web=web)
    stored = table_of(dataset, "orders")
    assert stored.select("order_id", "channel", "customer_id", "product_id").rows() == [
        ("t1", "shop", None, "tea"),
        ("w1", "web", "7", "M"),
    ]
    assert report.tables["orders"].read == 4
    assert rejected.get_column("value").to_list() == ["M", "soon"]


def test_ids_stored_as_numbers_become_text_without_fractions(import_files, tmp_path):
    frame = pl.DataFrame({"customer_id": [17850.0, None], "ts": [datetime(2024, 1, 2)] * 2})
    frame.write_parquet(tmp_path / "a.parquet")
    mapping = mapping_of("customer_id", "ts").replace("*.csv", "*.parquet")
    stored = table_of(import_files(tmp_path, mapping=mapping)[1], "orders")
    assert set(stored.get_column("customer_id")) == {"17850", None}


def test_sales_are_imported_and_a_promotion_ends_after_its_last_day(import_files, tmp_path):
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
    report, dataset, _ = import_files(tmp_path, mapping=mapping, sales=sales, promotions=promotions)
    assert (report.tables["sales"].accepted, report.tables["sales"].quarantined) == (2, 0)
    assert list(report.tables["sales"].noted.values()) == [1]
    stored = table_of(dataset, "sales")
    assert stored.select("quantity", "on_sale").rows() == [(0.0, True), (-1.0, False)]
    row = table_of(dataset, "promotions").row(0, named=True)
    assert row["to_day"] - row["from_day"] == 7


def test_the_last_value_of_each_attribute_of_a_product_is_stored(import_files, tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    text = "Code,Name\ntea,Tea\ntea,Green tea\ntea,\njam,Jam\n"
    report, dataset, _ = import_files(
        tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text
    )
    assert table_of(dataset, "products").rows() == [
        ("jam", "Jam"),
        ("tea", "Green tea"),
    ]
    counts = report.tables["products"]
    assert (counts.read, counts.accepted, counts.duplicates) == (4, 2, 2)


def test_lines_without_a_customer_are_no_rows_of_customers_taken_from_lines(import_files, tmp_path):
    customers = '[customers]\npath = "till*.csv"\ncolumns = { customer_id = "Customer" }\n'
    lines = ["7,1,tea,2024-01-02,1,1", ",2,tea,2024-01-02,1,1", "8,3,tea,2024-01-02"]
    report, _, _ = import_files(tmp_path, till=lines, rules=customers)
    counts = report.tables["customers"]
    assert (counts.read, counts.accepted, counts.quarantined) == (1, 1, 0)
    assert report.tables["orders"].quarantined == 1


@pytest.mark.parametrize(
    ("columns", "types"), [("Qty", (pl.Int64, pl.String)), ("Code", (pl.Int64, pl.String))]
)
def test_files_with_different_types_of_a_column_are_read_alike(
    import_files, till_mapping, tmp_path, columns, types
):
    row = {"Customer": "7", "Code": "5", "When": datetime(2024, 1, 2), "Qty": "3", "Price": 1.0}
    for number, dtype in enumerate(types):
        frame = pl.DataFrame({"Invoice": [number], **{name: [row[name]] for name in row}})
        frame.cast({columns: dtype}).write_parquet(tmp_path / f"{number}.parquet")
    report, dataset, _ = import_files(
        tmp_path, mapping=till_mapping.replace("till*.csv", "*.parquet")
    )
    assert report.tables["orders"].accepted == 2
    stored = table_of(dataset, "orders")
    assert stored.select("product_id", "quantity").rows() == [("5", 3.0)] * 2


def test_a_repeated_import_changes_nothing(import_files, tmp_path):
    lines = ["7,1,tea,2024-01-02,1,1"] * 2
    first = import_files(tmp_path, till=lines)[0]
    second = import_files(tmp_path, till=lines)[0]
    assert first.snapshot == second.snapshot
    assert (first.tables["orders"].accepted, second.tables["orders"].duplicates) == (2, 2)


def test_overlapping_files_add_new_lines_only(import_files, tmp_path):
    # The second export begins in the middle of order 2, and order 3 has one line twice.
    lines = [f"7,{order},tea,2024-01-02,{n},1" for n, order in enumerate("1122333", 1)]
    lines.append(lines[-1])
    report, dataset, _ = import_files(tmp_path, till_january=lines[:6], till_february=lines[3:])
    stored = table_of(dataset, "orders")
    assert stored.get_column("quantity").sort().to_list() == [1, 2, 3, 4, 5, 6, 7, 7]
    assert report.tables["orders"].duplicates == 3
