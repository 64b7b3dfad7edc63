"""Drift of records: a year replayed week by week, undisturbed and with planted faults."""

from dataclasses import replace

import narwhals as nw
import polars as pl
import pytest

from features.calendar import day_start, to_day
from training.monitoring.input_drift import REFERENCE_PERIODS, input_drift

DATES = {"orders": "day", "touchpoints": "day", "promotions": "from_day"}
# A fault begins at the start of the week that ends here.
END = to_day("2017-10-09")
BEGINS = END - 7


def known_at(dataset, end, change=lambda _name, rows: rows):
    """The dataset as it was known at the start of a day, with its tables changed."""
    tables = {}
    for name, table in dataset.tables.items():
        rows = table.collect().to_polars()
        rows = rows.filter(pl.col(DATES[name]) < end) if name in DATES else rows
        tables[name] = nw.from_native(change(name, rows).lazy())
    return replace(dataset, tables=tables, results={})


def alarms(dataset):
    return {check.name for check in input_drift(dataset) if not check.ok}


def of_newest_week(**columns):
    """Change columns of the orders of the newest week."""

    def change(name, rows):
        if name != "orders":
            return rows
        return rows.with_columns(
            pl.when(pl.col("day") >= BEGINS).then(value).otherwise(pl.col(column)).alias(column)
            for column, value in columns.items()
        )

    return change


def without(table, faulty):
    return lambda name, rows: rows.filter(~faulty) if name == table else rows


@pytest.fixture(scope="module")
def largest(journey):
    """The location with most sales."""
    orders = journey.known("orders", day_start(END)).collect().to_polars()
    return orders.get_column("location_id").value_counts(sort=True)[0, 0]


def test_an_undisturbed_year_raises_no_alarm_but_for_locations_that_closed(journey):
    first, last = journey.days
    orders = journey.table("orders").collect().to_polars()
    for end in range(first + 7 * (REFERENCE_PERIODS + 1), last + 2, 7):
        raised = alarms(known_at(journey, end))
        assert raised <= {"vanished locations"}, day_start(end)
        if raised:
            week = orders.filter(pl.col("day").is_between(end - 7, end - 1))
            before = orders.filter(pl.col("day").is_between(end - 63, end - 8))
            assert set(before["location_id"]) - set(week["location_id"])


def test_the_week_of_the_faults_has_none_of_its_own(journey):
    assert alarms(known_at(journey, END)) == set()


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (of_newest_week(revenue=2 * pl.col("revenue")), "prices"),
        (of_newest_week(product_id="P" + pl.col("product_id")), "known products"),
        (of_newest_week(customer_id=pl.col("customer_id").str.zfill(8)), "known customers"),
        (without("touchpoints", pl.col("day") >= BEGINS - 77), "touchpoints go on"),
        (without("promotions", pl.col("from_day") >= BEGINS - 14), "promotions go on"),
        (
            without("orders", (pl.col("day") >= BEGINS) & (pl.col("order_id").hash(0) % 2 == 0)),
            "records",
        ),
    ],
    ids=[
        "prices double",
        "products change format",
        "customers change format",
        "a feed stops",
        "the promotion calendar ends",
        "half of the orders are missing",
    ],
)
def test_a_fault_is_detected_in_its_first_week(journey, change, alarm):
    assert alarm in alarms(known_at(journey, END, change))


def test_a_location_that_closes_is_named(journey, largest):
    closed = without("orders", (pl.col("day") >= BEGINS) & (pl.col("location_id") == largest))
    checks = input_drift(known_at(journey, END, closed))
    (check,) = [check for check in checks if check.name == "vanished locations"]
    assert not check.ok
    assert largest in check.detail


def test_with_few_periods_only_tables_are_checked(journey):
    first, _ = journey.days
    checks = input_drift(known_at(journey, first + 28))
    assert all(check.name.endswith("go on") for check in checks)
