"""Netting of returns: what is cancelled, what is not, and when it is known."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.customers.builder import customers
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.panel import known_at, panel
from features.demand.series import all_series, units_sold
from features.interactions.builder import interactions
from features.returns import net_purchases

START = datetime(2024, 1, 1)
AS_OF = datetime(2024, 3, 1)


def shop(*lines, **columns):
    """Return a dataset of lines (customer, order, product, days after the start, units).

    Negative units are returns; a unit costs 10.
    """
    names = ["customer_id", "order_id", "product_id", "days", "quantity"]
    schema = dict.fromkeys(names[:3], pl.String) | {"days": pl.Float64, "quantity": pl.Float64}
    orders = pl.DataFrame(list(lines), schema, orient="row").with_columns(
        (pl.lit(START) + pl.duration(minutes=pl.col("days") * 1440)).alias("ts"),
        (pl.col("quantity") * 10).alias("revenue"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("north").alias("location_id"),
    )
    orders = orders.with_columns(**columns)
    return Dataset.from_frames("shop", {"orders": orders.drop("days")}, max_bad_share=0)


def kept(dataset, as_of=AS_OF):
    """Return units and money kept of each order."""
    lines = net_purchases(dataset, as_of).collect().to_polars()
    sums = lines.group_by("order_id").agg(pl.col("quantity", "revenue").sum()).sort("order_id")
    assert (sums["revenue"] / sums["quantity"]).round(9).eq(10).all()
    return dict(sums.select("order_id", "quantity").rows())


def test_a_return_with_the_id_of_its_order_cancels_that_order():
    dataset = shop(("a", "1", "tea", 1, 2), ("a", "2", "tea", 2, 2), ("a", "1", "tea", 3, -2))
    assert kept(dataset) == {"2": 2}


def test_a_return_with_an_id_of_its_own_cancels_the_latest_purchase_of_the_product():
    dataset = shop(
        ("a", "1", "tea", 1, 2), ("a", "2", "tea", 2, 2), ("a", "3", "milk", 3, 2),
        ("a", "C", "tea", 4, -2),
    )  # fmt: skip
    assert kept(dataset) == {"1": 2, "3": 2}


def test_a_partial_return_reduces_quantity_and_money():
    assert kept(shop(("a", "1", "tea", 1, 5), ("a", "C", "tea", 2, -2))) == {"1": 3}


def test_a_return_of_several_purchases_cancels_the_latest_first():
    dataset = shop(("a", "1", "tea", 1, 2), ("a", "2", "tea", 2, 2), ("a", "C", "tea", 3, -3))
    assert kept(dataset) == {"1": 1}


def test_a_purchase_returned_twice_is_cancelled_once():
    dataset = shop(
        ("a", "1", "tea", 1, 2), ("a", "1", "tea", 2, -2), ("a", "1", "tea", 3, -2),
        ("a", "4", "tea", 4, 1),
    )  # fmt: skip
    assert kept(dataset) == {"4": 1}


def test_a_purchase_after_a_return_is_kept():
    dataset = shop(("a", "1", "tea", 1, 1), ("a", "C", "tea", 2, -1), ("a", "3", "tea", 3, 1))
    assert kept(dataset) == {"3": 1}


@pytest.mark.parametrize(
    "other",
    [
        ("a", "C", "milk", 3, -1),
        ("b", "C", "tea", 3, -1),
        ("a", "C", "tea", 1, -1),
        (None, "C", "tea", 3, -1),
    ],
    ids=["another product", "another customer", "before the purchase", "no customer"],
)
def test_a_return_without_a_matching_purchase_cancels_nothing(other):
    assert kept(shop(("a", "1", "tea", 2, 1), other)) == {"1": 1}


def test_an_anonymous_return_with_the_id_of_its_order_cancels_it():
    dataset = shop((None, "1", "tea", 1, 1), (None, "2", "tea", 1, 1), (None, "1", "tea", 2, -1))
    assert kept(dataset) == {"2": 1}


def test_lines_without_a_product_are_matched_by_money():
    lines = [("a", "1", None, 1, 1), ("a", "2", None, 2, 1), ("a", "C", None, 3, -1)]
    dataset = shop(*lines, revenue=pl.Series([70.0, 50.0, -60.0]))
    money = net_purchases(dataset, AS_OF).collect().to_polars()
    assert dict(money.select("order_id", "revenue").rows()) == {"1": 60}


def test_returns_of_weights_cancel_exactly():
    dataset = shop(("a", "1", "cheese", 1, 0.1), ("a", "1", "cheese", 2, 0.2),
                   ("a", "C", "cheese", 3, -0.3))  # fmt: skip
    assert kept(dataset) == {}


def test_an_order_counts_until_its_return_is_known():
    dataset = shop(("a", "1", "tea", 1, 1), ("a", "1", "tea", 5, -1))
    assert kept(dataset, START + timedelta(days=5)) == {"1": 1}
    assert kept(dataset, START + timedelta(days=5, minutes=1)) == {}


LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from("12345678"),
        st.sampled_from(["tea", "milk"]),
        st.integers(0, 20),
        st.sampled_from([1, 1, 2, 5, -1, -2, -3]),
    ),
    min_size=1,
    max_size=30,
)


@given(LINES, st.integers(1, 20))
@settings(max_examples=15)
def test_lines_at_or_after_as_of_and_the_order_of_rows_change_nothing(lines, days):
    as_of = START + timedelta(days=days)
    everything = shop(*lines)
    orders = everything.table("orders").collect().to_polars()
    known = orders.filter(pl.col("ts") < as_of).sample(fraction=1, shuffle=True, seed=1)
    if known.is_empty():
        return
    assert_frame_equal(
        net_purchases(everything, as_of).collect().to_polars(),
        net_purchases(Dataset.from_frames("known", {"orders": known}), as_of).collect().to_polars(),
        check_row_order=False,
        check_exact=True,
    )


@given(LINES)
@settings(max_examples=40)
def test_what_is_kept_is_what_was_bought_less_what_was_returned_of_it(lines):
    """Checked line by line against a stack of each order, and of each customer and product."""
    rows = sorted(
        ((*line, number) for number, line in enumerate(lines)),
        key=lambda row: (row[3], row[4] < 0, row[1], row[5]),
    )
    left, stacks = {}, {}
    for customer, order, product, _, units, number in rows:
        of_order, of_customer = (customer, order, product), (customer, product)
        if units > 0:
            left[number] = units
            for scope in (of_order, of_customer):
                stacks.setdefault(scope, []).append([number, units])
            continue
        stack = stacks.get(of_order)
        if stack is None:
            stack = [] if customer is None else stacks.get(of_customer, [])
        back = -units
        while back and stack:
            cancelled = min(back, stack[-1][1])
            back -= cancelled
            stack[-1][1] -= cancelled
            left[stack[-1][0]] -= cancelled
            if not stack[-1][1]:
                stack.pop()
    net = net_purchases(shop(*lines), AS_OF).collect().to_polars()
    expected = {number: units for number, units in left.items() if units > 0}
    assert dict(net.select("line", "quantity").rows()) == expected


CANCELLED = (("a", "1", "tea", 1, 1), ("a", "2", "tea", 20, 1000), ("a", "2", "tea", 20.01, -1000))


def test_a_cancelled_order_is_no_visit_and_no_spend():
    row = customers(shop(*CANCELLED), AS_OF).collect().to_polars().row(0, named=True)
    once = customers(shop(CANCELLED[0]), AS_OF).collect().to_polars().row(0, named=True)
    assert (row["visits"], row["recency"], row["spend_total"]) == (1, 59, 1)
    assert row["returned_spend"] == 1000
    assert row["return_share"] == pytest.approx(1 / 3)
    same = [name for name in row if not name.startswith("return")]
    assert {name: row[name] for name in same} == {name: once[name] for name in same}


def test_a_cancelled_order_is_no_purchase_of_the_product():
    rows = interactions(shop(*CANCELLED), AS_OF).collect().to_polars()
    assert rows.select("product_id", "baskets", "units").rows() == [("tea", 1.0, 1.0)]


def test_a_cancelled_order_is_no_demand_once_the_return_is_known():
    dataset, grain = shop(*CANCELLED, ("a", "9", "milk", 40, 1)), Grain.parse("product:day")

    def units(day, periods):
        return units_sold(dataset, grain, day, periods).collect().to_polars()["units"].sum()

    day = to_day(START) + 20
    assert units(day + 1, -30) == 1
    late = shop(CANCELLED[0], CANCELLED[1], ("a", "2", "tea", 25, -400))
    before, after = (
        units_sold(late, grain, day + days, -30).collect().to_polars()["units"].sum()
        for days in (5, 6)
    )
    assert (before, after) == (1001, 601)
    assert units_sold(late, grain, day, 3).collect().to_polars()["units"].sum() == 1000


def test_the_past_of_a_training_origin_is_net_of_the_returns_known_then():
    dataset = shop(*CANCELLED, ("a", "3", "tea", 22, 6), ("a", "3", "tea", 30, -4))
    grain, day = Grain.parse("product:day"), to_day(START) + 25
    index = all_series(dataset, grain).index.collect().to_polars()
    later = panel(dataset, grain, day + 10, 35, 0, index)
    expected = panel(dataset, grain, day, 25, 0, index)
    known = known_at(dataset, later, 25)
    assert later.units.sum() == 3000
    assert expected.units.sum() == 7000
    assert known.units[:, :25].tolist() == expected.units.tolist()
    assert known.totals["all"][0][:, :25].tolist() == expected.totals["all"][0].tolist()
