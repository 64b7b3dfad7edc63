"""Customers with logged purchases are answered as if the records held them."""

from datetime import datetime, timedelta

import narwhals as nw
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.customers.builder import customers as customer_features
from features.dataset import Dataset
from features.events.records import LoggedEvent
from serving.customers.live import live_customers, with_live
from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import profiles
from serving.customers.timing import timing_of
from serving.events.live import CustomerEvents

AS_OF = datetime(2017, 11, 6)
LATER = AS_OF + timedelta(days=14)


class Logged:
    """Events of customers that no model has seen."""

    def __init__(self, events):
        self.events = events

    def customer(self, customer_id):
        return self.events.get(customer_id)


def purchase(ts, position=1, **fields):
    event = dict.fromkeys(LoggedEvent._fields) | {"type": "purchase", "ts": ts, "quantity": 1.0}
    return LoggedEvent(**event | {"position": position, "revenue": 20.0} | fields)


@pytest.fixture(scope="module")
def household(journey):
    """A household with purchases before and after the instant."""
    days = journey.known("orders", LATER).collect().to_polars().drop_nulls("customer_id")
    late = days.filter(pl.col("ts") >= AS_OF).get_column("customer_id").unique().sort()
    early = days.filter(pl.col("ts") < AS_OF - timedelta(days=90)).get_column("customer_id")
    return next(name for name in late if name in set(early))


@pytest.fixture(scope="module")
def lines(journey, household):
    orders = journey.known("orders", LATER).collect().to_polars().sort("ts", "order_id", "line")
    return orders.filter(pl.col("customer_id") == household)


@pytest.fixture(scope="module")
def logged(lines, household):
    """What the household bought after the instant, as events."""
    names = ("product_id", "ts", "quantity", "revenue", "order_id", "location_id", "channel")
    rows = lines.filter(pl.col("ts") >= AS_OF).select(names).iter_rows(named=True)
    events = tuple(purchase(**row, position=k) for k, row in enumerate(rows))
    return Logged({household: CustomerEvents(events)})


def answers(readers, customers):
    timing = timing_of(readers)
    return {
        "churn": readers["churn"].answer(customers, timing=timing),
        "next_purchase": readers["next-purchase"].answer(customers, timing=timing),
        "value": readers["value"].answer(customers, timing=timing),
        "profile": profiles(readers, customers),
    }


def live(readers, events, *ids):
    return live_customers(readers["histories"], events, ids, AS_OF)


def test_logged_purchases_give_the_answers_of_the_full_history(
    customer_readers, journey, household, lines, logged
):
    customers = live(customer_readers, logged, household)[household]
    last = lines.get_column("ts")[-1]
    assert customers.as_of == last + timedelta(microseconds=1)
    touchpoints = journey.known("touchpoints", AS_OF).collect().to_polars()
    touchpoints = touchpoints.filter(pl.col("customer_id") == household)
    columns = ["ts", "product_id", "location_id", "channel", "quantity", "revenue", "discount"]
    # Events carry no discount.
    late = pl.when(pl.col("ts") < AS_OF).then("discount").alias("discount")
    history = {
        "customer_id": household,
        "orders": lines.with_columns(late).select(*columns, "order_id").to_dicts(),
        "touchpoints": touchpoints.select("ts", "kind").to_dicts(),
        "attributes": customer_readers["histories"].attributes(household),
    }
    posted = PostedCustomers.read([history], customers.as_of)
    assert answers(customer_readers, customers) == answers(customer_readers, posted)


def test_live_features_are_those_of_the_records(
    customer_readers, journey, household, lines, logged
):
    customers = live(customer_readers, logged, household)[household]
    reader = customer_readers["churn"]
    late = pl.when(pl.col("ts") < AS_OF).then("discount").alias("discount")
    mine = nw.col("customer_id") == household
    tables = {
        "orders": nw.from_native(lines.with_columns(late).lazy()),
        "products": journey.table("products"),
        "touchpoints": journey.known("touchpoints", AS_OF).filter(mine),
        "customers": journey.table("customers").filter(mine),
    }
    dataset = Dataset("journey", "later", tables, reader.population.statistics)
    records = customer_features(dataset, customers.as_of).collect().to_polars()
    features = reader.posted_features(customers)
    assert_frame_equal(features.drop("customer_id"), records.drop("customer_id"), check_exact=True)


def test_a_logged_purchase_never_raises_churn(customer_readers, journey):
    ids = journey.table("customers").collect().to_polars().get_column("customer_id").sort()[:20]
    histories = customer_readers["histories"]
    for name in ids:
        before = purchase(AS_OF + timedelta(days=1))
        events = (before, purchase(AS_OF + timedelta(days=1, hours=2), 2))
        (more,) = live(customer_readers, Logged({name: CustomerEvents(events)}), name).values()
        known = histories.table("orders", name, "000000").with_columns(
            pl.lit(None, pl.String).alias("category")
        )
        fewer = PostedCustomers(
            more.names, known, more.touchpoints, more.attributes, more.as_of, trusted=True
        )
        churn = [
            customer_readers["churn"].answer(customers)[0]["churn_probability"]
            for customers in (fewer, more)
        ]
        assert churn[1] <= churn[0]


def test_live_rows_keep_the_order_of_the_request_and_name_their_instant(
    customer_readers, household, logged
):
    found = live(customer_readers, logged, "nobody", household)
    churn = customer_readers["churn"]
    rows = with_live(
        lambda _, customers: churn.answer(customers), {}, ["nobody", household, "nobody"], found
    )
    assert [row["customer_id"] for row in rows] == ["nobody", household, "nobody"]
    assert rows[1]["basis"] == "live"
    assert rows[1]["as_of"] == found[household].as_of.isoformat()
    assert "as_of" not in rows[0]


def test_a_customer_exists_from_the_first_logged_purchase(customer_readers):
    events = CustomerEvents((purchase(AS_OF + timedelta(days=2), revenue=None),))
    (row,) = answers(
        customer_readers, live(customer_readers, Logged({"new": events}), "new")["new"]
    )["profile"]
    assert row["visits"] == 1
    assert row["churn"]["churn_probability"] < 1
    view = CustomerEvents((purchase(AS_OF + timedelta(days=2), type="view"),))
    assert live(customer_readers, Logged({"new": view}), "new") == {}
