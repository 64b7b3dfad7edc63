"""Features of a few customers from arrays are those of lazy frames to the last bit."""

from datetime import datetime, timedelta

import narwhals as nw
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.customer_records import MOST_CUSTOMERS, customer_frame, few_customers
from features.customers.builder import customers
from features.customers.by_category import category_features
from features.customers.favourites import favourites
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset
from features.interactions.builder import baskets, interactions

FUNCTIONS = (customers, category_features, favourites, baskets, interactions)
KEYS = ["customer_id", "category", "order_id", "product_id"]
STATISTICS = PopulationStatistics(123_456.0, several_channels=True, attributes=("age", "size"))
START = datetime(2017, 1, 1)


def dataset_of(orders, statistics=STATISTICS):
    """Return a dataset of these order lines, with a touchpoint and attributes of each customer."""
    ids = orders.get_column("customer_id").unique().sort()
    touchpoints = pl.DataFrame(
        {
            "customer_id": ids,
            "kind": "sent",
            "ts": START,
            "day": pl.Series([17167] * len(ids), dtype=pl.Int32),
        }
    )
    described = pl.DataFrame({"customer_id": ids, "age": "25-34", "size": 2.0})
    products = pl.DataFrame({"product_id": list("abc"), "category": ["MILK", "MILK", "BREAD"]})
    frames = {
        "orders": orders,
        "products": products,
        "touchpoints": touchpoints,
        "customers": described,
    }
    tables = {name: nw.from_native(frame.lazy()) for name, frame in frames.items()}
    return Dataset("posted", "posted", tables, statistics)


def lines(customer, count, data):
    """Return random order lines of a customer."""
    row = st.tuples(
        st.integers(0, 200), st.sampled_from("abcd"), st.sampled_from(["x", "y", None]),
        st.floats(0.01, 1000).map(lambda amount: round(amount, 2)),
    )  # fmt: skip
    rows = data.draw(st.lists(row, min_size=1, max_size=count))
    return pl.DataFrame(
        {
            "customer_id": customer,
            "order_id": [f"{customer} {day}" for day, *_ in rows],
            "line": range(len(rows)),
            "product_id": [product for _, product, *_ in rows],
            "location_id": [channel for _, _, channel, _ in rows],
            "channel": [channel for _, _, channel, _ in rows],
            "ts": [START + timedelta(days=day, hours=day % 24) for day, *_ in rows],
            "day": pl.Series([17167 + day for day, *_ in rows], dtype=pl.Int32),
            "quantity": 1.0,
            "revenue": [money for *_, money in rows],
            "discount": 0.0,
            "kind": "sale",
        },
        schema_overrides={"location_id": pl.String, "channel": pl.String},
    )


def assert_equal_to_the_last_bit(function, dataset, as_of):
    planned = customer_frame(function, dataset, as_of)
    built = function(dataset, as_of).collect().to_polars()
    key = [name for name in KEYS if name in built.columns]
    assert planned.columns == built.columns
    assert_frame_equal(planned.sort(key), built.sort(key), check_exact=True, check_dtypes=False)


@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_any_order_lines_have_the_features_of_lazy_frames(data):
    orders = pl.concat([lines(name, 12, data) for name in ("k", "l")])
    dataset = dataset_of(orders)
    as_of = START + timedelta(days=data.draw(st.integers(0, 210)), hours=11)
    for function in FUNCTIONS:
        assert_equal_to_the_last_bit(function, dataset, as_of)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_real_households_have_the_features_of_lazy_frames(journey, function):
    as_of = datetime(2017, 12, 1)
    known = journey.known("orders", as_of).collect().to_polars().drop_nulls("customer_id")
    counts = known.group_by("customer_id").len().sort("len", "customer_id")
    chosen = counts.get_column("customer_id").gather_every(counts.height // 8)
    orders = known.filter(pl.col("customer_id").is_in(chosen.implode()))
    is_chosen = nw.col("customer_id").is_in(chosen.to_list())
    tables = {
        "orders": nw.from_native(orders.lazy()),
        "products": journey.table("products").select("product_id", "category"),
        **{name: journey.table(name).filter(is_chosen) for name in ("touchpoints", "customers")},
    }
    statistics = PopulationStatistics(99_999.0, attributes=("age", "income"))
    dataset = Dataset("posted", "posted", tables, statistics)
    assert_equal_to_the_last_bit(function, dataset, as_of)


def test_orders_at_or_after_the_instant_change_no_feature(journey):
    as_of = datetime(2017, 10, 2, 12)
    known = journey.table("orders").collect().to_polars().drop_nulls("customer_id")
    orders = known.filter(pl.col("customer_id") == known.get_column("customer_id").mode()[0])
    past = orders.filter(pl.col("ts") < as_of)
    assert past.height < orders.height
    for function in FUNCTIONS:
        now, later = (customer_frame(function, dataset_of(o), as_of) for o in (past, orders))
        assert_frame_equal(now, later, check_exact=True)


def test_returns_and_many_customers_are_left_to_lazy_frames(journey):
    orders = journey.table("orders").collect().to_polars().drop_nulls("customer_id")
    ids = orders.get_column("customer_id").unique().sort().head(MOST_CUSTOMERS + 1)
    few, many = (
        orders.filter(pl.col("customer_id").is_in(ids.head(count).implode()))
        for count in (MOST_CUSTOMERS, MOST_CUSTOMERS + 1)
    )
    assert few_customers(dataset_of(few)) is not None
    assert few_customers(dataset_of(many)) is None
    assert few_customers(dataset_of(few.with_columns(kind=pl.lit("return")))) is None
    assert few_customers(dataset_of(few, statistics=None)) is None
