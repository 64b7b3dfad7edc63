"""Numbering of order lines: known lines, corrected lines and new lines."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import open_dataset
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped

TILL = ("bon", "sku", "when", "qty")
MAPPING = """name = "shop"
[orders]
path = "{path}"
columns = {{ {order} product_id = "sku", ts = "when", quantity = "qty" }}
"""


class Shop:
    """A till whose exports are imported one after the other."""

    def __init__(self, folder: Path, *, order_ids: bool = True, mapping: str = MAPPING) -> None:
        self.folder = folder
        self.order = 'order_id = "bon",' if order_ids else ""
        self.mapping = mapping

    def export(self, lines: list[tuple], name: str = "lines.csv") -> None:
        rows = [",".join(map(str, line)) for line in [TILL, *lines]]
        (self.folder / name).write_text("\n".join(rows) + "\n")

    def import_lines(self, lines: list[tuple] | None = None, path: str = "lines.csv"):
        if lines is not None:
            self.export(lines)
        file = self.folder / "shop.toml"
        file.write_text(self.mapping.format(path=path, order=self.order))
        with TemporaryDirectory() as scratch:
            tables = read_mapped(read_mapping(file), datetime(2024, 6, 1), Path(scratch))
            return import_tables(self.folder / "home", "shop", tables, 1.0).tables["orders"]

    def stored(self) -> list[tuple]:
        frame = open_dataset(self.folder / "home", "shop").table("orders").collect().to_polars()
        return frame.select("order_id", "product_id", "quantity").rows()


def line(order, sku, quantity, when="2024-01-02"):
    return (order, sku, when, quantity)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_an_order_split_between_two_imports_is_stored_completely(shop):
    shop.import_lines([line(1, "tea", 1), line(2, "tea", 1), line(2, "milk", 2)])
    report = shop.import_lines([line(2, "jam", 3), line(3, "tea", 1)])
    assert (report.accepted, report.replaced, report.duplicates) == (2, 0, 0)
    assert [row[1:] for row in shop.stored() if row[0] == "2"] == [
        ("tea", 1.0),
        ("milk", 2.0),
        ("jam", 3.0),
    ]


def test_an_order_split_between_two_files_of_an_import_is_stored_completely(shop):
    shop.export([line(1, "tea", 1), line(2, "tea", 1)], "a.csv")
    shop.export([line(2, "tea", 1), line(2, "jam", 3)], "b.csv")
    report = shop.import_lines(path="*.csv")
    assert (report.accepted, report.duplicates) == (3, 1)
    assert Counter(shop.stored()) == Counter([("1", "tea", 1), ("2", "tea", 1), ("2", "jam", 3)])


def test_two_equal_lines_of_an_order_are_two_lines_in_repeated_imports(shop):
    lines = [line(1, "tea", 1), line(1, "tea", 1)]
    assert shop.import_lines(lines).accepted == 2
    assert shop.import_lines(lines).duplicates == 2
    assert shop.import_lines([*lines, line(1, "tea", 1)]).accepted == 1


def test_a_corrected_quantity_replaces_its_line_only(shop):
    shop.import_lines([line(1, "tea", 1), line(1, "milk", 2), line(1, "tea", 5)])
    report = shop.import_lines([line(1, "tea", 1), line(1, "milk", 9), line(1, "tea", 5)])
    assert (report.accepted, report.replaced, report.duplicates) == (1, 1, 2)
    assert sorted(shop.stored()) == [("1", "milk", 9), ("1", "tea", 1), ("1", "tea", 5)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([("tea", 1), ("milk", 2)], [("tea", 3), ("jam", 1)]),
        ([("tea", 1), ("milk", 2)], [("milk", 2), ("tea", 3)]),
        ([("milk", 2), ("tea", 1), ("jam", 1)], [("tea", 1), ("jam", 1), ("milk", 5)]),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_split_order_with_a_product_on_both_sides_is_completed(shop, first, second, at_once):
    before, after = [line(0, "tea", 1)], [line(9, "tea", 1)]
    exports = [
        before + [line(1, *row) for row in first],
        [line(1, *row) for row in second] + after,
    ]
    if at_once:
        shop.export(exports[0], "a.csv")
        shop.export(exports[1], "b.csv")
        shop.import_lines(path="[ab].csv")
    else:
        for export in exports:
            shop.import_lines(export)
    overlap = next(n for n in (2, 1, 0) if first[len(first) - n :] == second[:n])
    expected = Counter([*first, *second[overlap:]])
    assert Counter(row[1:] for row in shop.stored() if row[0] == "1") == expected


def test_permuted_lines_are_duplicates(shop):
    lines = [line(1, "tea", 1), line(1, "milk", 2), line(2, "jam", 1)]
    shop.import_lines(lines)
    assert shop.import_lines(lines[::-1]).duplicates == 3


def test_a_return_does_not_replace_the_sale_of_the_same_product(shop):
    shop.import_lines([line(1, "tea", 2)])
    assert shop.import_lines([line(1, "tea", -2)]).replaced == 0
    assert len(shop.stored()) == 2


def test_without_order_ids_a_purchase_at_another_time_of_day_is_a_new_line(tmp_path):
    shop = Shop(tmp_path, order_ids=False)
    shop.import_lines([line("", "tea", 1, "2024-01-02 10:00")])
    later = shop.import_lines([line("", "tea", 2, "2024-01-02 17:00")])
    corrected = shop.import_lines([line("", "tea", 3, "2024-01-02 17:00")])
    assert (later.replaced, corrected.replaced) == (0, 1)


def test_in_a_log_of_amounts_another_amount_is_a_new_line(tmp_path):
    shop = Shop(tmp_path, mapping=MAPPING.replace("{order} product_id", "customer_id"))
    shop.import_lines([line("", "anne", 5)])
    report = shop.import_lines([line("", "anne", 5), line("", "anne", 7)])
    assert (report.accepted, report.replaced, report.duplicates) == (1, 0, 1)


orders = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), max_size=25, unique=True)


@settings(max_examples=25, deadline=None)
@given(orders, st.data())
def test_overlapping_exports_store_every_line_once_wherever_they_are_split(rows, data):
    lines = [line(order, f"p{product}", product) for order, product in sorted(rows)]
    end = data.draw(st.integers(0, len(lines)))
    start = data.draw(st.integers(0, end))
    expected = Counter((str(order), f"p{product}", product) for order, product in rows)
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        in_turn, at_once = Shop(Path(one)), Shop(Path(two))
        for portion in (lines[:end], lines[start:]):
            in_turn.import_lines(portion)
        at_once.export(lines[:end], "a.csv")
        at_once.export(lines[start:], "b.csv")
        report = at_once.import_lines(path="*.csv")
        assert Counter(in_turn.stored()) == Counter(at_once.stored()) == expected
        assert report.duplicates == end - start
