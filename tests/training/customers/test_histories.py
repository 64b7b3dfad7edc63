"""Published histories of customers."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from training.customers import histories

AS_OF = datetime(2017, 11, 6)


@pytest.fixture
def folder(journey, tmp_path):
    histories.publish(journey, AS_OF, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def known(journey):
    order = ("ts", "order_id", "line")
    return journey.known("orders", AS_OF).collect().to_polars().sort(order)


@pytest.mark.parametrize("table", histories.TABLE_NAMES)
def test_histories_are_the_records_of_buyers_before_the_instant(journey, folder, table):
    published = histories.Histories.load(folder)
    records = journey.known(table, AS_OF).collect().to_polars()
    buyers = records.filter(pl.col("customer_id").is_in(list(published.rows)))
    by_customer = buyers.sort("ts").partition_by("customer_id", as_dict=True)
    for (name,), rows in list(by_customer.items())[::40]:
        found = published.table(table, name, name)
        left_out = histories.LEFT_OUT - {"customer_id", "day"}
        columns = [column for column in rows.columns if column not in left_out]
        assert_frame_equal(found.select(columns).sort(columns), rows.select(columns).sort(columns))


def test_an_unknown_customer_has_no_rows(folder):
    published = histories.Histories.load(folder)
    assert published.table("orders", "nobody", "x").is_empty()
    assert published.attributes("nobody") == {}


def test_erased_customers_are_in_no_file(folder, known):
    published = histories.Histories.load(folder)
    gone, kept = published.customers.get_column("customer_id")[1:3]
    before = published.table("orders", kept, "x")
    assert histories.erase(folder, lambda ids: ids == gone) == {gone}
    left = histories.Histories.load(folder)
    assert gone not in left.rows
    assert left.table("orders", gone, "x").is_empty()
    assert_frame_equal(left.table("orders", kept, "x"), before)
    lines = known.filter(pl.col("customer_id") != gone).height
    assert left.customers.get_column("orders_end")[-1] == lines
