"""Numbers as text: signs, currencies, groups, and the decimal mark of a whole column."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.quarantine import quarantine_file
from features.ingest.source_columns import RAW_PREFIX
from features.ingest.sources.decimal_marks import decide_marks
from features.ingest.sources.numbers import Notation, number
from features.ingest.sources.replay import read_quarantined

SALES = """name = "shop"
[sales]
path = "sales.csv"
delimiter = "|"
columns = { product_id = "item", day = "date", quantity = "units", price = "price" }
"""


def parse(*texts: str, **notation) -> list[float | None]:
    return number(pl.Series(texts), Notation(**notation)).to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2-", -2),
        ("(2)", -2),
        ("($2.50)", -2.5),
        ("-$2", -2),
        ("$-2", -2),
        ("$ (2)", -2),
        ("USD 12.50-", -12.5),
        ("12.50- USD", -12.5),
        ("'-2", -2),
        ("\u22122", -2),
        ("\u221212.50 \u20ac", -12.5),
        ("+5", 5),
        ("USD 12.50", 12.5),
        ("12.50 kr", 12.5),
        ("kr. 12.50", 12.5),
        ("R$ 1,250.00", 1250),
        ("Rs. 1,23,456.00", 123456),
        ("CHF 1\u2019234.50", 1234.5),
        ("1'234'567", 1234567),
        ("1\u202f234.5", 1234.5),
        ("10%", 0.1),
        ("-5 %", -0.05),
        ("12.-", 12),
        ("1e3", 1000),
    ],
)
def test_signs_currencies_and_groups_are_read(text, expected):
    assert parse(text) == [pytest.approx(expected)]


@pytest.mark.parametrize(
    "text",
    ["many", "#5", "A12", "12 kg", "--2", "-(2)", "-2-", "5(2)", "1.2.3", "0,345", "01,234",
     "12,34", "1,2345", "1 23", "$", "%", "()", "-", "inf", "nan", "12/5"],
)  # fmt: skip
def test_other_texts_are_no_numbers(text):
    assert parse(text) == [None]


def test_thousands_and_negative_limit_what_is_read():
    assert parse("1,234", "1 234", "1'234", thousands=" ") == [None, 1234, None]
    assert parse("1,234", thousands="") == [None]
    assert parse("2-", "(2)", "-2", negative=()) == [None, None, -2]
    assert parse("2 CR", "CR 2", "2", "-2 CR", negative=("CR",)) == [-2, -2, 2, None]


def decide(*texts: str, stated: str | None = None, **others: list[str]) -> dict[str, str]:
    columns = {"units": list(texts), **others}
    frame = pl.LazyFrame({f"{RAW_PREFIX}{name}": values for name, values in columns.items()})
    return decide_marks(frame, dict.fromkeys(columns, "quantity"), stated)


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["0,345", "1,250"], ","),
        (["1,25", "1.250"], ","),
        (["1.234.567", "1.250"], ","),
        (["1,234,567", "1,250"], "."),
        (["1,23,456", "1,250"], "."),
        (["1'234.5", "1,250"], "."),
        (["0.345", "1.250"], "."),
        (["1.250", "2.375"], "."),
        (["12", "1,250"], "."),
        (["12", "7"], "."),
        (["12.5"] * 99 + ["12,5"], "."),
        (["EUR 1.250,00", "1,250"], ","),
    ],
)
def test_all_values_of_a_column_decide_its_decimal_mark(texts, mark):
    assert decide(*texts)["units"] == mark


def test_other_columns_decide_for_a_column_that_allows_both_marks():
    assert decide("1,250", "2,375", price=["12,30", "7,99"])["units"] == ","
    assert decide("1,250", "2,375", price=["12.30", "7.99"])["units"] == "."


@pytest.mark.parametrize(
    "texts", [["1,250", "2,375"], ["1,250", "1500"], ["1,250", "1.250"], ["1,5", "1.5"]]
)
def test_a_column_that_allows_both_marks_or_contradicts_itself_is_refused_with_its_name(texts):
    with pytest.raises(InvalidInput, match="column 'units'"):
        decide(*texts)


def test_a_column_that_contradicts_the_stated_mark_is_refused():
    with pytest.raises(InvalidInput, match=r"contradicts decimal = ',' in 2 of 2 .* '0.345'"):
        decide("0.345", "1.5", "1.250", stated=",")
    assert decide("1,250", "2,375", stated=",") == {"units": ","}


def test_a_number_with_another_mark_than_its_column_is_quarantined(import_files, tmp_path):
    lines = [f"7,1,tea,2024-01-02,{n},0.5" for n in range(1, 40)] + ['7,1,tea,2024-01-02,1,"0,5"']
    report, _, rejected = import_files(tmp_path, till=lines)
    assert report.tables["orders"].quarantined == 1
    assert rejected.item(0, "reason").startswith("unit_price has another decimal mark than '.'")


def test_each_column_has_its_own_decimal_mark(import_files, tmp_path):
    lines = ['7,1,tea,2024-01-02,"0,345",12.50', '7,2,tea,2024-01-02,"1,250",8.00']
    _, dataset, _ = import_files(tmp_path, till=lines)
    stored = dataset.table("orders").collect().to_polars()
    assert stored.get_column("quantity").to_list() == [0.345, 1.25]
    assert stored.get_column("revenue").to_list() == pytest.approx([4.3125, 10.0])


def test_a_quarantined_row_is_read_again_by_the_decimal_mark_of_its_column(
    import_files, till_mapping, tmp_path
):
    lines = ['7,1,tea,2024-01-02,"0,345",5', '7,2,tea,soon,"1,250",5', "7,3,tea,soon,2.000,5"]
    import_files(tmp_path, till=lines)
    mapping = read_mapping(tmp_path / "shop.toml")
    quarantine = quarantine_file(tmp_path / "home", "shop")
    (table,) = read_quarantined(quarantine, mapping, datetime(2024, 6, 1))
    rows = table.canonical(table.frame.lazy().collect())
    assert rows.get_column("quantity").to_list() == [1.25, 2000.0]


def grouped(digits: str, separator: str, *, indian: bool) -> str:
    """Return digits in groups."""
    head, groups = digits[:-3], [digits[-3:]]
    size = 2 if indian else 3
    while head:
        groups.insert(0, head[-size:])
        head = head[:-size]
    return separator.join(groups)


hundredths = st.integers(-(10**9), 10**9)
MINUSES = ["-{}", "\u2212{}", "{}-", "({})", "'-{}", "-$ {}", "EUR -{}", "{}- \u20ac"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(hundredths, st.sampled_from(MINUSES)), min_size=1, max_size=20),
    st.sampled_from([(".", ","), (",", "."), (".", "\u2019"), (",", "\u202f"), (".", "")]),
    st.booleans(),
)
def test_any_notation_of_a_column_gives_its_numbers(values, marks, indian):
    decimal, separator = marks
    texts = []
    for value, minus in values:
        whole, cents = divmod(abs(value), 100)
        groups = grouped(str(whole), separator, indian=indian and separator == ",")
        text = f"{groups}{decimal}{cents:02d}"
        texts.append(minus.format(text) if value < 0 else text)
    series = pl.Series(texts)
    decided = decide(*texts)["units"]
    assert decided == decimal
    assert number(series, Notation(decided)).to_list() == pytest.approx(
        [value / 100 for value, _ in values]
    )


pieces = st.sampled_from([*"0123456789.,-+()%$'\u2019 eE", "USD", "kr", "\u2212", "x", "NaN"])
cells = st.lists(pieces, max_size=8).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=15))
def test_no_text_raises_and_every_row_is_counted_once(import_files, rows):
    lines = [f"p{n}|2024-01-02|{units}|{price}" for n, (units, price) in enumerate(rows)]
    text = "\n".join(["item|date|units|price", *lines, ""])
    # A column whose numbers contradict each other is refused.
    with TemporaryDirectory() as folder, suppress(InvalidInput):
        report, _, _ = import_files(Path(folder), mapping=SALES, sales=text)
        counts = report.tables["sales"]
        assert counts.read == len(rows)
        assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
