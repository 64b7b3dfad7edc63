"""One's own data by a mapping: what each rule of DESIGN makes of rows."""

from datetime import datetime

import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset


@pytest.fixture
def orders(bring, tmp_path):
    """Stored order lines of one file."""

    def orders(lines: list[str], **options: str) -> pl.DataFrame:
        return table_of(bring(tmp_path, till=lines, **options)[1], "orders")

    return orders


def table_of(dataset: Dataset, table: str) -> pl.DataFrame:
    return dataset.table(table).collect().to_polars()


def only(*columns: str, extra: str = "") -> str:
    """Mapping of the columns of these names."""
    named = ", ".join(f'{column} = "{column}"' for column in columns)
    return f'name = "shop"\n[orders]\npath = "*.csv"\ncolumns = {{ {named} }}\n{extra}'


def test_revenue_is_made_of_unit_price_and_quantity(orders):
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


def test_lines_of_an_order_are_numbered_as_they_stand(orders):
    lines = [f"7,{order},{code},2024-01-02,1,1" for order, code in ("1a", "2b", "1c", "1d")]
    stored = orders(lines)
    assert stored.select("order_id", "line", "product_id").rows() == [
        ("1", 0, "a"),
        ("1", 1, "c"),
        ("1", 2, "d"),
        ("2", 0, "b"),
    ]


def test_without_order_ids_a_customers_day_in_a_place_is_one_order(orders):
    mapping = only("customer_id", "ts", "revenue", "location_id")
    header = "customer_id,ts,revenue,location_id"
    lines = ["7,2024-01-02,1,x", "7,2024-01-02,2,x", "7,2024-01-02,3,y", "7,2024-01-03,4,x"]
    stored = orders(lines, mapping=mapping, header=header)
    assert stored.get_column("order_id").n_unique() == 3
    assert stored.get_column("quantity").to_list() == [1.0] * 4
    assert "product_id" not in stored.columns


def test_a_negative_quantity_is_a_return(orders):
    row = orders(["7,1,tea,2024-01-02,-2,3"]).row(0, named=True)
    assert (row["kind"], row["quantity"], row["revenue"]) == ("return", -2.0, -6.0)


def test_a_return_by_rule_gets_its_negative_sign_and_is_counted(bring, tmp_path):
    rule = 'returns = { column = "Invoice", starts_with = "C" }\n'
    lines = ["7,C1,tea,2024-01-02,2,3", "7,1,tea,2024-01-02,2,3"]
    report, dataset, _ = bring(tmp_path, till=lines, rules=rule)
    stored = table_of(dataset, "orders").sort("kind")
    assert stored.select("kind", "quantity", "revenue").rows() == [
        ("return", -2.0, -6.0),
        ("sale", 2.0, 6.0),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]


def test_an_amount_below_zero_is_a_return_where_there_are_no_quantities(orders):
    mapping = only("customer_id", "ts", "revenue")
    stored = orders(["7,2024-01-02,-5"], mapping=mapping, header="customer_id,ts,revenue")
    assert stored.select("kind", "quantity", "revenue").row(0) == ("return", -1.0, -5.0)


def test_quantities_above_the_cap_are_counted_as_the_cap(bring, tmp_path):
    lines = ["7,1,fuel,2024-01-02,4000,0.01"]
    report, dataset, _ = bring(tmp_path, till=lines, rules="cap_quantity = 24\n")
    row = table_of(dataset, "orders").row(0, named=True)
    assert (row["quantity"], row["revenue"]) == (24.0, 40.0)
    assert list(report.tables["orders"].touched.values()) == [1]


def test_what_is_no_unit_of_a_product_is_kept_as_a_purchase_without_one(bring, tmp_path):
    lines = ["7,1,fuel,2024-01-02,4000,0.01", "7,1,tea,2024-01-02,2,3"]
    rule = 'no_product = [ { column = "Code", in = ["fuel"] } ]\n'
    report, dataset, _ = bring(tmp_path, till=lines, rules=rule)
    rows = table_of(dataset, "orders").sort("line")
    assert rows.select("product_id", "quantity", "revenue", "kind").rows() == [
        (None, 1.0, 40.0, "sale"),
        ("tea", 2.0, 6.0, "sale"),
    ]
    assert list(report.tables["orders"].touched.values()) == [1]
    again, _, _ = bring(tmp_path, till=lines, rules=rule)
    assert (again.tables["orders"].accepted, again.tables["orders"].duplicates) == (0, 2)


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
def test_numbers_are_read_as_people_write_them(orders, written, options, meant):
    mapping = only("ts", "revenue", extra=options)
    stored = orders([f"2024-01-02,{written}"], mapping=mapping, header="ts,revenue")
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
def test_instants_become_the_retailers_local_time(orders, written, options, meant):
    mapping = 'local_time_zone = "Europe/Berlin"\n' + only("ts", extra=options)
    stored = orders([f"{written},"], mapping=mapping, header="ts,x")
    assert stored.item(0, "ts") == meant
    assert stored.item(0, "day") == to_day(meant)


def test_each_source_of_a_table_has_its_own_names_rules_and_constants(orders, bring, tmp_path):
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
    report, dataset, rejected = bring(tmp_path, mapping=mapping, till=till, web=web)
    stored = table_of(dataset, "orders")
    assert stored.select("order_id", "channel", "customer_id", "product_id").rows() == [
        ("t1", "shop", None, "tea"),
        ("w1", "web", "7", "M"),
    ]
    assert report.tables["orders"].read == 4
    assert rejected.get_column("value").to_list() == ["M", "soon"]


def test_ids_are_the_same_text_whether_they_were_stored_as_numbers_or_as_text(bring, tmp_path):
    frame = pl.DataFrame({"customer_id": [17850.0, None], "ts": [datetime(2024, 1, 2)] * 2})
    frame.write_parquet(tmp_path / "a.parquet")
    mapping = only("customer_id", "ts").replace("*.csv", "*.parquet")
    stored = table_of(bring(tmp_path, mapping=mapping)[1], "orders")
    assert set(stored.get_column("customer_id")) == {"17850", None}


def test_a_ready_sales_table_and_a_promotions_last_day(bring, tmp_path):
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
    report, dataset, _ = bring(tmp_path, mapping=mapping, sales=sales, promotions=promotions)
    assert (report.tables["sales"].accepted, report.tables["sales"].quarantined) == (1, 1)
    assert table_of(dataset, "sales").get_column("on_sale").to_list() == [True]
    row = table_of(dataset, "promotions").row(0, named=True)
    assert row["to_day"] - row["from_day"] == 7


def test_of_what_lines_tell_of_a_product_each_attributes_last_word_counts(bring, tmp_path):
    products = '[products]\npath = "p.csv"\ncolumns = { product_id = "Code", name = "Name" }\n'
    text = "Code,Name\ntea,Tea\ntea,Green tea\ntea,\njam,Jam\n"
    report, dataset, _ = bring(tmp_path, till=["7,1,tea,2024-01-02,1,1"], rules=products, p=text)
    assert table_of(dataset, "products").rows() == [
        ("jam", "Jam"),
        ("tea", "Green tea"),
    ]
    found = report.tables["products"]
    assert (found.read, found.accepted, found.duplicates) == (4, 2, 2)


def test_lines_that_mention_no_customer_are_no_rows_of_the_customers_they_mention(bring, tmp_path):
    customers = '[customers]\npath = "till*.csv"\ncolumns = { customer_id = "Customer" }\n'
    lines = ["7,1,tea,2024-01-02,1,1", ",2,tea,2024-01-02,1,1", "8,3,tea,2024-01-02"]
    report, _, _ = bring(tmp_path, till=lines, rules=customers)
    found = report.tables["customers"]
    assert (found.read, found.accepted, found.quarantined) == (1, 1, 0)
    assert report.tables["orders"].quarantined == 1


@pytest.mark.parametrize(
    ("columns", "types"), [("Qty", (pl.Int64, pl.String)), ("Code", (pl.Int64, pl.String))]
)
def test_files_that_store_a_column_in_different_types_are_read_alike(
    bring, till_mapping, tmp_path, columns, types
):
    row = {"Customer": "7", "Code": "5", "When": datetime(2024, 1, 2), "Qty": "3", "Price": 1.0}
    for number, dtype in enumerate(types):
        frame = pl.DataFrame({"Invoice": [number], **{name: [row[name]] for name in row}})
        frame.cast({columns: dtype}).write_parquet(tmp_path / f"{number}.parquet")
    report, dataset, _ = bring(tmp_path, mapping=till_mapping.replace("till*.csv", "*.parquet"))
    assert report.tables["orders"].accepted == 2
    stored = table_of(dataset, "orders")
    assert stored.select("product_id", "quantity").rows() == [("5", 3.0)] * 2


def test_importing_twice_changes_nothing(bring, tmp_path):
    lines = ["7,1,tea,2024-01-02,1,1"] * 2
    first = bring(tmp_path, till=lines)[0]
    second = bring(tmp_path, till=lines)[0]
    assert first.snapshot == second.snapshot
    assert (first.tables["orders"].accepted, second.tables["orders"].duplicates) == (2, 2)


def test_files_that_overlap_add_only_what_is_new(bring, tmp_path):
    # The second export begins in the middle of order 2, and order 3 has one line twice.
    lines = [f"7,{order},tea,2024-01-02,{n},1" for n, order in enumerate("1122333", 1)]
    lines.append(lines[-1])
    report, dataset, _ = bring(tmp_path, till_january=lines[:6], till_february=lines[3:])
    stored = table_of(dataset, "orders")
    assert stored.get_column("quantity").sort().to_list() == [1, 2, 3, 4, 5, 6, 7, 7]
    assert report.tables["orders"].duplicates == 3
