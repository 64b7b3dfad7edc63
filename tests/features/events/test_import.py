"""Logged purchases and returns become order lines beside those of the records, each once."""

from datetime import datetime

import polars as pl
import pytest

from features.dataset import open_dataset
from features.erasure import erase, is_known
from features.ingest.pipeline import import_tables
from features.ingest.provenance import events_position
from features.ingest.source_table import SourceTable
from features.ingest.sources.events import read_events

NOW = datetime(2018, 1, 10, 12)
COLUMNS = ["customer_id", "order_id", "line", "product_id", "ts", "day", "quantity", "kind"]


def record(customer, order, line=0, product="bread"):
    ts = datetime(2017, 12, 1, 10)
    return dict(zip(COLUMNS, (customer, order, line, product, ts, 17501, 1.0, "sale"), strict=True))


@pytest.fixture
def imported(tmp_path, open_log):
    """Import records and the log, and return the order lines."""

    def run(*records, now=NOW, **customers):
        schema = {"line": pl.Int32, "day": pl.Int32, "ts": pl.Datetime("us")}
        orders = pl.DataFrame(records, orient="row").cast(schema) if records else None
        tables = [] if orders is None else [SourceTable("orders", orders)]
        if customers:
            tables.append(SourceTable("customers", pl.DataFrame(customers)))
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        logged = read_events(open_log(), COLUMNS, now, scratch)
        tables += [] if logged is None else [logged]
        report = import_tables(tmp_path, "shop", tables, 0.05)
        lines = open_dataset(tmp_path, "shop").table("orders").collect().to_polars()
        return report, lines.sort("ts", "order_id", "line")

    return run


def test_purchases_and_returns_are_lines_and_other_events_are_not(imported, open_log, event):
    open_log().append(
        [
            event("1", quantity=2.0),
            event("2", type="return", ts="2018-01-02"),
            event("3", type="view"),
            event("4", customer_id="new", ts="2018-01-03", order_id="o7"),
        ]
    )
    _, lines = imported(record("a", "o1"))
    assert lines.select("customer_id", "order_id", "product_id", "quantity", "kind").rows() == [
        ("a", "o1", "bread", 1.0, "sale"),
        ("a", "a/2018-01-01", "milk", 2.0, "sale"),
        ("a", "a/2018-01-02", "milk", -1.0, "return"),
        ("new", "o7", "milk", 1.0, "sale"),
    ]
    assert lines.columns == COLUMNS


def test_an_import_of_the_same_log_changes_nothing(tmp_path, imported, open_log, event):
    open_log().append([event("1"), event("2")])
    first, _ = imported(record("a", "o1"))
    again, lines = imported(record("a", "o1"))
    assert again.snapshot == first.snapshot
    assert len(lines) == 3
    assert events_position(tmp_path, "shop", first.snapshot) == 2


def test_a_late_event_takes_its_place_by_time(imported, open_log, event):
    log = open_log()
    log.append([event("1", ts="2018-01-05")])
    imported(record("a", "o1"))
    log.append([event("2", ts="2018-01-04")])
    _, lines = imported(record("a", "o1"))
    assert lines.get_column("ts").dt.day().to_list() == [1, 4, 5]


def test_an_order_that_the_records_have_as_well_counts_once(imported, open_log, event):
    open_log().append([event("1", order_id="o2"), event("2", order_id="o3")])
    _, lines = imported(record("a", "o1"))
    assert len(lines) == 3
    for _ in range(2):
        _, lines = imported(record("a", "o1"), record("a", "o2", 0, "milk"))
        assert lines.select("order_id", "line").rows() == [("o1", 0), ("o2", 0), ("o3", 2)]


def test_a_day_is_imported_when_it_has_ended(tmp_path, imported, open_log, event):
    open_log().append(
        [event("1", ts="2018-01-09"), event("2", ts="2018-01-10"), event("3", ts="2018-01-09")]
    )
    report, lines = imported(record("a", "o1"))
    # What follows the first event of today is imported, and shown until then, together with it.
    assert len(lines) == 2
    assert events_position(tmp_path, "shop", report.snapshot) == 1
    report, lines = imported(record("a", "o1"), now=datetime(2018, 1, 11))
    assert len(lines) == 4
    assert events_position(tmp_path, "shop", report.snapshot) == 3


def test_customers_without_consent_are_anonymous(imported, open_log, event):
    open_log().append([event("1"), event("2", customer_id="no"), event("3", customer_id="new")])
    _, lines = imported(
        record("a", "o1"), customer_id=["a", "no"], consent=pl.Series(["yes", "no"])
    )
    assert set(lines.get_column("customer_id")) == {"a", None}
    assert len(lines) == 4


def test_an_erased_customer_stays_anonymous(tmp_path, events_url, imported, open_log, event):
    log = open_log()
    log.append([event("1", location_id="l"), event("2", customer_id="b")])
    imported(record("b", "o1"))
    assert is_known(tmp_path, "shop", ["a"], events_url)
    assert erase(tmp_path, "shop", ["a"], events_url).events == 1
    log.append([event("3", ts="2018-01-02")])
    _, lines = imported(record("b", "o1"))
    assert sorted(lines.get_column("customer_id").to_list(), key=str) == [None, None, "b", "b"]
    assert not any("a" in order.split("/") for order in lines.get_column("order_id"))
