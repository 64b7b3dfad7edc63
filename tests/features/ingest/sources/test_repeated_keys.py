"""Several rows with one key in one import: added up, refused, replaced or duplicates."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ImportRejected
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable

SALES = """name = "shop"
[sales]
path = "sales*.csv"
columns = { product_id = "item", day = "date", quantity = "units" }
"""
NUMBERED = """name = "shop"
[orders]
path = "till*.csv"
columns = { order_id = "bon", line = "pos", product_id = "sku", ts = "when", quantity = "qty" }
"""
PRICES = """[prices]
path = "prices.csv"
columns = { product_id = "sku", from_day = "from", price = "price" }
"""
HEAD = "date,store,item,units"


def lines(*rows: str, head: str = HEAD) -> str:
    return "\n".join([head, *rows, ""])


def units(dataset) -> list[tuple]:
    stored = dataset.table("sales").collect().to_polars()
    return stored.sort("product_id", "day").select("product_id", "quantity").rows()


def counts_of(report, table: str = "sales") -> tuple[int, int, int, int]:
    counts = report.tables[table]
    return counts.read, counts.accepted, counts.duplicates, counts.replaced


def test_rows_of_stores_that_the_mapping_leaves_out_add_up(import_files, tmp_path):
    # Two stores sell the same number; the second row of store B is a true duplicate.
    rows = ("2024-01-02,A,tea,3", "2024-01-02,B,tea,3", "2024-01-02,B,tea,3", "2024-01-02,B,jam,1")
    report, dataset, _ = import_files(tmp_path, mapping=SALES, sales=lines(*rows))
    assert units(dataset) == [("jam", 1.0), ("tea", 6.0)]
    assert counts_of(report) == (4, 3, 1, 0)
    assert list(report.tables["sales"].touched.values()) == [2]
    again, dataset, _ = import_files(tmp_path, mapping=SALES, sales=lines(*rows))
    assert (again.snapshot, counts_of(again)) == (report.snapshot, (4, 0, 4, 0))


def test_the_price_of_added_rows_is_the_mean_of_a_unit(tmp_path):
    rows = pl.DataFrame(
        {
            "product_id": ["tea"] * 3,
            "day": pl.Series([19000] * 3, dtype=pl.Int32),
            "quantity": [3.0, 1.0, 2.0],
            "price": [2.0, 4.0, None],
            "on_sale": [False, True, False],
        }
    )
    report = import_tables(tmp_path, "shop", [SourceTable("sales", rows)], 0.5)
    assert counts_of(report)[:3] == (3, 3, 0)
    part = next((tmp_path / "datasets" / "shop" / "tables").glob("sales-*.parquet"))
    stored = pl.read_parquet(part).row(0, named=True)
    assert (stored["quantity"], stored["price"], stored["on_sale"]) == (6.0, 2.5, True)


def test_a_later_file_replaces_the_sums_of_an_earlier_one(import_files, tmp_path):
    first = lines("2024-01-02,A,tea,3", "2024-01-02,B,tea,4", "2024-01-03,A,tea,1")
    second = lines("2024-01-02,A,tea,5", "2024-01-03,A,tea,1")
    report, dataset, _ = import_files(tmp_path, mapping=SALES, sales1=first, sales2=second)
    assert [quantity for _, quantity in units(dataset)] == [5.0, 1.0]
    assert counts_of(report) == (5, 4, 1, 2)
    again, _, _ = import_files(tmp_path, mapping=SALES, sales1=first, sales2=second)
    assert counts_of(again) == (5, 0, 5, 0)


def test_numbered_lines_with_one_key_and_other_content_are_refused_with_it(import_files, tmp_path):
    head = "bon,pos,sku,when,qty"
    rows = ["1,1,tea,2024-01-02,1", "1,2,jam,2024-01-02,1", "1,2,milk,2024-01-02,1"]
    with pytest.raises(ImportRejected, match=r"till.csv .*order_id = '1', line = 2: product_id"):
        import_files(tmp_path, mapping=NUMBERED, till=lines(*rows, head=head))
    _, _, rejected = import_files(tmp_path, mapping=NUMBERED, till=lines(*rows[:2], head=head))
    assert rejected.height == 0
    report, _, _ = import_files(tmp_path, mapping=NUMBERED, till=lines(rows[0], rows[2], head=head))
    assert counts_of(report, "orders") == (2, 1, 1, 1)


def test_two_prices_of_a_product_from_one_day_on_are_refused(import_files, tmp_path):
    prices = lines("tea,2024-01-02,2.5", "tea,2024-01-02,2.7", head="sku,from,price")
    with pytest.raises(ImportRejected, match=r"product_id = 'tea'.*price is 2\.5, 2\.7"):
        import_files(tmp_path, mapping=SALES + PRICES, sales=lines(), prices=prices)


row = st.tuples(
    st.sampled_from(["tea", "jam"]),
    st.integers(1, 3),
    st.sampled_from(["A", "B", "C"]),
    st.integers(-2, 3),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(row, max_size=8), min_size=1, max_size=2))
def test_every_row_of_sales_counts_once_whatever_its_key(import_files, exports):
    files = {
        f"sales{number}": lines(*(f"2024-01-0{day},{s},{item},{n}" for item, day, s, n in rows))
        for number, rows in enumerate(exports)
    }
    expected: dict[tuple, int] = {}
    for rows in exports:
        sums: Counter[tuple] = Counter()
        for item, day, _, quantity in set(rows):
            sums[item, day] += quantity
        expected |= {(item, day): sums[item, day] for item, day, _, _ in rows}
    with TemporaryDirectory() as folder:
        for _ in range(2):
            report, dataset, _ = import_files(Path(folder), mapping=SALES, **files)
            counts = report.tables["sales"]
            assert counts.read == sum(map(len, exports))
            assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
        assert counts.accepted == 0
        assert [quantity for _, quantity in units(dataset)] == [
            expected[key] for key in sorted(expected)
        ]
