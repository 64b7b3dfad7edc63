"""Dates of mapped sources: a spreadsheet's numbers, offsets, and no date that is lost or raises."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput

VISITS = """{head}
name = "shop"
[orders]
path = "till.csv"
delimiter = "|"
columns = {{ customer_id = "who", ts = "when" }}
{keys}
"""


def till(*times: str) -> str:
    return "\n".join(["who|when", *(f"{n}|{time}" for n, time in enumerate(times)), ""])


def times_of(dataset) -> list[datetime]:
    orders = dataset.table("orders").collect().to_polars()
    return orders.sort("customer_id").get_column("ts").to_list()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("45292", datetime(2024, 1, 1)),
        ("45292.375", datetime(2024, 1, 1, 9)),
        ("45292,375", datetime(2024, 1, 1, 9)),
        ("45292.395833", datetime(2024, 1, 1, 9, 30)),
    ],
)
def test_a_spreadsheets_number_of_a_day_is_read_when_asked(
    import_files, tmp_path, number, expected
):
    mapping = VISITS.format(head="", keys='date_format = "spreadsheet"')
    _, dataset, _ = import_files(tmp_path, mapping=mapping, till=till(number))
    assert times_of(dataset) == [expected]


def test_a_spreadsheets_number_of_a_day_names_the_key_that_reads_it(import_files, tmp_path):
    _, _, rejected = import_files(
        tmp_path, mapping=VISITS.format(head="", keys=""), till=till("45292.375", "2024-01-01")
    )
    assert 'set date_format = "spreadsheet"' in rejected.item(0, "reason")


@pytest.mark.parametrize(
    "time",
    [
        "2024-01-02 10:00:00 +0100",
        "2024-01-02T10:00:00+01:00",
        "2024-01-02 10:00+01:00",
        "2024-01-02T09:00:00Z",
        "2024-01-02T09:00:00.000Z",
        "2024-01-02 09:00:00 UTC",
    ],
)
def test_an_offset_needs_the_retailers_zone_and_is_converted_to_it(import_files, tmp_path, time):
    _, _, rejected = import_files(
        tmp_path, mapping=VISITS.format(head="", keys=""), till=till(time)
    )
    assert "carries a time zone; set local_time_zone" in rejected.item(0, "reason")
    head = 'local_time_zone = "Europe/Berlin"'
    _, dataset, _ = import_files(
        tmp_path, mapping=VISITS.format(head=head, keys=""), till=till(time)
    )
    assert times_of(dataset) == [datetime(2024, 1, 2, 10)]


def test_an_offset_beyond_the_stated_format_names_percent_z(import_files, tmp_path):
    mapping = VISITS.format(head="", keys='date_format = "%d.%m.%Y %H:%M"')
    _, _, rejected = import_files(tmp_path, mapping=mapping, till=till("02.01.2024 10:00 +0100"))
    assert "end date_format with %z" in rejected.item(0, "reason")


moments = st.datetimes(datetime(1960, 1, 1), datetime(2060, 1, 1))
forms = st.sampled_from(
    ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y", "%m/%d/%Y %I:%M %p", "%Y-%m-%dT%H:%M:%SZ", "%s"]
)
written = st.one_of(
    st.tuples(moments, forms).map(lambda pair: pair[0].strftime(pair[1])),
    st.text(st.sampled_from("0123456789-/:. TZ+%"), max_size=20),
    st.floats(30_000, 60_000).map(str),
    st.sampled_from(["", "NULL", "soon", "29.02.2023", "0000-00-00"]),
)
KEYS = ["", 'date_format = "spreadsheet"', 'date_format = "%d.%m.%Y"', 'date_format = "%s"']
HEADS = ["", 'local_time_zone = "Europe/Berlin"']


@settings(max_examples=60, deadline=None)
@given(st.lists(written, max_size=12), st.sampled_from(KEYS), st.sampled_from(HEADS))
def test_no_date_raises_and_every_row_is_counted_once(import_files, times, keys, head):
    # Counts since 1970 are in UTC, which needs a zone.
    with TemporaryDirectory() as folder, suppress(InvalidInput):
        mapping = VISITS.format(head=head, keys=keys)
        report, dataset, rejected = import_files(Path(folder), mapping=mapping, till=till(*times))
        counts = report.tables["orders"]
        assert counts.read == len(times)
        assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
        assert rejected.height == counts.quarantined
        assert len(times_of(dataset)) == counts.accepted
