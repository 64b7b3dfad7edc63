"""Values of whole orders, and accounts that are no customer."""

import polars as pl
import pytest

from features.errors import InvalidInput

HEADER = "Order,Status,Who,Code,When,Qty,Price"
MAPPING = """name = "shop"
[orders]
path = "till*.csv"
columns = { order_id = "Order", customer_id = "Who", product_id = "Code", ts = "When", quantity = "Qty", unit_price = "Price" }
order_level = ["Status", "Who", "When"]
"""  # noqa: E501
LINES = [
    "1,paid,ann,a,2024-01-02,1,1",
    "1,,,b,,2,1",
    "2,void,bo,a,2024-01-03,4,1",
    "2,,,b,,8,1",
    "2, ,,c,,16,1",
]
DROP = 'drop = [ { column = "Status", in = ["void"], reason = "cancelled" } ]\n'


def orders(dataset) -> pl.DataFrame:
    return dataset.table("orders").collect().to_polars().sort("order_id", "line")


def test_values_on_the_first_line_hold_for_the_whole_order(import_files, tmp_path):
    _, dataset, _ = import_files(tmp_path, mapping=MAPPING, header=HEADER, till=LINES)
    stored = orders(dataset)
    assert stored.get_column("customer_id").to_list() == ["ann", "ann", "bo", "bo", "bo"]
    assert stored.get_column("day").n_unique() == 2


def test_a_drop_excludes_all_lines_of_an_order(import_files, tmp_path):
    report, dataset, rejected = import_files(
        tmp_path, mapping=MAPPING, rules=DROP, header=HEADER, till=LINES
    )
    assert orders(dataset).get_column("quantity").to_list() == [1.0, 2.0]
    assert report.tables["orders"].dropped == 3
    assert rejected.get_column("value").to_list() == ["void"] * 3


def test_a_return_is_of_all_lines_of_an_order(import_files, tmp_path):
    rule = 'returns = { column = "Status", equals = "void" }\n'
    _, dataset, _ = import_files(tmp_path, mapping=MAPPING, rules=rule, header=HEADER, till=LINES)
    assert orders(dataset).get_column("quantity").to_list() == [1.0, 2.0, -4.0, -8.0, -16.0]


@pytest.mark.parametrize("order", [[1, 3, 0, 4, 2], [4, 3, 2, 1, 0]])
def test_lines_of_an_order_need_not_be_neighbours(import_files, tmp_path, order):
    lines = [LINES[number] for number in order]
    report, _, _ = import_files(tmp_path, mapping=MAPPING, rules=DROP, header=HEADER, till=lines)
    assert report.tables["orders"].dropped == 3


def test_an_order_may_begin_in_another_batch_or_file(import_files, tmp_path, monkeypatch):
    monkeypatch.setattr("features.ingest.staging.BATCH_ROWS", 2)
    report, dataset, _ = import_files(
        tmp_path, mapping=MAPPING, rules=DROP, header=HEADER, till1=LINES[:3], till2=LINES[3:]
    )
    assert report.tables["orders"].dropped == 3
    assert orders(dataset).height == 2


def test_a_later_export_of_an_order_has_its_own_status(import_files, tmp_path):
    later = [line.replace("paid", "void") for line in LINES[:2]]
    report, _, _ = import_files(
        tmp_path, mapping=MAPPING, rules=DROP, header=HEADER, till1=LINES[:2], till2=later
    )
    assert report.tables["orders"].dropped == 2


def test_an_account_of_the_till_is_no_customer(import_files, tmp_path):
    rule = 'no_customer = [ { column = "Who", in = ["bo"] } ]\n'
    report, dataset, _ = import_files(
        tmp_path, mapping=MAPPING, rules=rule, header=HEADER, till=LINES
    )
    stored = orders(dataset)
    assert stored.get_column("customer_id").to_list() == ["ann", "ann", None, None, None]
    assert stored.get_column("quantity").sum() == 31
    assert list(report.tables["orders"].touched.values()) == [3]


def test_an_account_with_a_third_of_all_receipts_is_noted(import_files, tmp_path):
    lines = [f"{n},paid,{'0' if n % 3 == 0 else f'c{n % 40}'},a,2024-01-02,1,1" for n in range(300)]
    report, _, _ = import_files(tmp_path, mapping=MAPPING, header=HEADER, till=lines)
    ((remark, rows),) = report.tables["orders"].noted.items()
    assert "customer '0' has 33% of all receipts" in remark
    assert "no_customer" in remark
    assert rows == 100


@pytest.mark.parametrize(
    ("key", "column"), [("order_level", "order_id"), ("no_customer", "customer_id")]
)
def test_a_key_without_its_column_is_refused_by_line(import_files, tmp_path, key, column):
    rules = {
        "order_level": 'order_level = ["Status"]\n',
        "no_customer": 'no_customer = [ { column = "Who", in = ["0"] } ]\n',
    }
    mapping = MAPPING.replace('order_level = ["Status", "Who", "When"]\n', rules[key])
    raw = {"order_id": 'order_id = "Order", ', "customer_id": 'customer_id = "Who", '}[column]
    with pytest.raises(InvalidInput, match=f"line 5: .*{key} needs {column}"):
        import_files(tmp_path, mapping=mapping.replace(raw, ""), header=HEADER, till=LINES)
