"""CSV files: detection of delimiter and encoding; broken rows are marked, others are read."""

import csv
import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput
from features.ingest.source_columns import FAULT, SOURCE_ROW
from features.ingest.sources.csv_text import CsvOptions
from features.ingest.sources.files import scan_files


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads the columns a, b, c."""

    def write_and_read(content: bytes, name: str = "x.csv", **options) -> pl.DataFrame:
        (tmp_path / name).write_bytes(content)
        (tmp_path / "scratch").mkdir(exist_ok=True)
        frame = scan_files(
            tmp_path,
            name,
            ["a", "b", "c"],
            options=CsvOptions(**options),
            scratch=tmp_path / "scratch",
        )
        return frame.collect()

    return write_and_read


def values(frame: pl.DataFrame) -> list[tuple]:
    return frame.filter(pl.col(FAULT).is_null()).select("a", "b", "c").rows()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(read, delimiter):
    assert values(read(f"a{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}3\n".encode())) == [
        ("1", "2", "3")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_the_encoding_is_detected(read, encoding):
    assert values(read("a,b,c\nKäse,2,3\n".encode(encoding))) == [("Käse", "2", "3")]


def test_a_given_encoding_is_used(read):
    assert values(read("a,b,c\nчай,2,3\n".encode("cp1251"), encoding="cp1251"))[0][0] == "чай"


def test_damaged_characters_do_not_change_the_detected_encoding(read):
    frame = read("a,b,c\nKäse,Brötchen,3\n".encode() + b"K\xe4,2,3\n")
    assert values(frame) == [("Käse", "Brötchen", "3"), ("K\ufffd", "2", "3")]


def test_a_gzipped_file_is_read(read):
    assert values(read(gzip.compress(b"a,b,c\n1,2,3\n"), "x.csv.gz")) == [("1", "2", "3")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1,2,3,4\n", "more fields"),
        (b"1,2\n", "fewer fields"),
        (b'1,"2,3\n', "never closed"),
        (b"1," + b"x" * 200_000 + b",3\n", "a field of more than"),
    ],
)
def test_a_broken_line_is_marked_and_other_lines_are_read(read, line, fault):
    frame = read(b"a,b,c\n0,0,0\n" + line + b"9,9,9\n")
    assert values(frame) == [("0", "0", "0"), ("9", "9", "9")]
    bad = frame.filter(pl.col(FAULT).is_not_null())
    assert fault in bad.item(0, FAULT)
    assert bad.get_column(SOURCE_ROW).to_list() == [3]


def test_a_truncated_file_loses_its_last_line_only(read):
    frame = read(b"a,b,c\n1,2,3\n4,5")
    assert values(frame) == [("1", "2", "3")]
    assert frame.height == 2


def test_line_breaks_within_quotes_are_preserved_and_counted(read):
    frame = read(b'a,b,c\n1,"two\nlines",3\n4,5,6\n')
    assert values(frame) == [("1", "two\nlines", "3"), ("4", "5", "6")]
    assert frame.get_column(SOURCE_ROW).to_list() == [2, 4]


def test_a_last_line_without_a_line_feed_is_read(read):
    assert values(read(b"a,b,c\r\n1,2,3")) == [("1", "2", "3")]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "x.csv", "empty"),
        (b"\n", "x.csv", "empty"),
        (b"a,a,c\n1,2,3\n", "x.csv", "more than once"),
        (b"a,b\n1,2\n", "x.csv", "no column 'c'"),
        (
            gzip.compress(b"a,b,c\n" + bytes(range(48, 58)) * 5000, mtime=0)[:60],
            "x.csv.gz",
            "truncated or damaged",
        ),
        (b"PK1", "x.xlsx", "cannot be read"),
        (b"PAR1", "x.parquet", "cannot be read"),
        (b"abc", "x.docx", "of an unknown type"),
    ],
)
def test_an_unreadable_file_is_named_with_the_cause(read, content, name, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        read(content, name)
    assert name in caught.value.message


def test_a_sheet_is_read_as_displayed(read, tmp_path):
    frame = pl.DataFrame({"a": ["x", "7"], "b": [17850.0, None], "c": [1.5, 2.0]})
    frame.write_excel(tmp_path / "made.xlsx")
    read_back = read((tmp_path / "made.xlsx").read_bytes(), "x.xlsx")
    assert values(read_back) == [("x", "17850", "1.5"), ("7", None, "2")]


def test_files_of_a_glob_are_sorted_by_name(read, tmp_path):
    (tmp_path / "part2.csv").write_text("a,b,c\n2,2,2\n")
    (tmp_path / "part1.csv").write_text("c,b,a\n0,0,1\n")
    (tmp_path / "scratch").mkdir()
    frame = scan_files(
        tmp_path, "part*.csv", ["a"], options=CsvOptions(), scratch=tmp_path / "scratch"
    ).collect()
    assert frame.get_column("a").to_list() == ["1", "2"]
    assert frame.get_column("source.file").to_list() == ["part1.csv", "part2.csv"]


@pytest.mark.parametrize(
    "above",
    [
        "sep=;\n",
        '"sep=;"\n',
        "Report 2024;;\nStore: 7;;\n\n",
        "Report, of 2024\n\n",
        'a "quoted title\n',
        "a\n",
    ],
)
def test_lines_above_the_header_are_no_records(read, above):
    frame = read(f"{above}a;b;c\n1;2;3\n4;5;6\n".encode())
    assert values(frame) == [("1", "2", "3"), ("4", "5", "6")]
    assert frame.get_column(SOURCE_ROW).to_list()[0] == above.count("\n") + 2


def test_skip_rows_states_the_number_of_lines_above_the_header(read):
    content = b"a,b,c\nx,y,z\na,b,c\n1,2,3\n"
    assert values(read(content, skip_rows=2)) == [("1", "2", "3")]
    assert values(read(content, skip_rows=3, header=("a", "b", "c"))) == [("1", "2", "3")]


@pytest.mark.parametrize("header", [",a,b,c", "a,b,c,", "x,a,x,b,c", "a,,b,,c"])
def test_nameless_and_doubled_columns_that_are_not_read_do_not_matter(read, header):
    names = header.split(",")
    record = ",".join(str("abc".index(name) + 1) if name in list("abc") else "?" for name in names)
    assert values(read(f"{header}\n{record}\n".encode())) == [("1", "2", "3")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_detected(read, encoding):
    assert values(read("a,b,c\nKäse,2,3\n".encode(encoding))) == [("Käse", "2", "3")]


def test_title_rows_of_a_sheet_are_skipped(read, tmp_path):
    rows = [["Report", "", ""], ["", "", ""], ["a", "b", "c"], ["1", "2", "3"]]
    frame = pl.DataFrame(rows, orient="row", schema=["x", "y", "z"])
    frame.write_excel(tmp_path / "made.xlsx", include_header=False)
    assert values(read((tmp_path / "made.xlsx").read_bytes(), "x.xlsx")) == [("1", "2", "3")]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(cells, cells, cells), max_size=12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_output_of_a_csv_writer_is_read_unchanged(rows, delimiter, quoting, end):
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scratch").mkdir()
        with (folder / "x.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)
            writer.writerows([("a", "b", "c"), *rows])
        options = CsvOptions(encoding="utf-8", delimiter=delimiter)
        frame = scan_files(
            folder, "x.csv", ["a", "b", "c"], options=options, scratch=folder / "scratch"
        ).collect()
    assert frame.get_column(FAULT).null_count() == frame.height
    values_read = frame.select(pl.col("a", "b", "c").fill_null("")).rows()
    assert values_read == rows
