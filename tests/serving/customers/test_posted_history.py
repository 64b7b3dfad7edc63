"""Customers with posted orders are answered as if the records held them."""

import time
from datetime import datetime, timedelta

import polars as pl
import pytest

from features.customers.builder import customers
from features.customers.population_statistics import PopulationStatistics
from features.errors import InvalidInput
from serving.customers.posted_history import PostedCustomers
from training.customers.population import Population

AS_OF = datetime(2017, 11, 6)
TOLERANCE = 1e-6
COLUMNS = ["revenue", "discount", "product_id", "location_id", "channel", "quantity", "kind"]


@pytest.fixture(scope="module", params=["churn", "next-purchase", "value"])
def served(customer_readers, request):
    return customer_readers[request.param]


@pytest.fixture(scope="module")
def known(journey):
    """Customers with one, two, few and many visits, with and without attributes."""
    days = journey.known("orders", AS_OF).collect().to_polars().group_by("customer_id")
    counts = days.agg(pl.col("day").n_unique()).drop_nulls().sort("day", "customer_id")
    ids = counts.get_column("customer_id").gather([0, 1, 3, 60, 150, -1]).to_list()
    with_attributes = journey.table("customers").collect().to_polars().get_column("customer_id")
    return [*ids, with_attributes.sort()[0]]


@pytest.fixture(scope="module")
def histories(journey, known):
    """The orders, touchpoints and attributes of `known`, as a request posts them."""
    customers = journey.table("customers").collect().to_polars()
    attributes = {row.pop("customer_id"): row for row in customers.iter_rows(named=True)}

    def rows(table, customer, columns):
        frame = journey.known(table, AS_OF).collect().to_polars().sort("ts")
        lines = frame.filter(pl.col("customer_id") == customer)
        return lines.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")).select(
            "ts", *(name for name in columns if name in frame.columns)
        )

    return [
        {
            "customer_id": customer,
            "orders": rows("orders", customer, COLUMNS).to_dicts(),
            "touchpoints": rows("touchpoints", customer, ["kind", "campaign_id"]).to_dicts(),
            "attributes": {
                name: value
                for name, value in attributes.get(customer, {}).items()
                if value is not None
            },
        }
        for customer in known
    ]


def assert_close(answer, other):
    assert answer.keys() == other.keys()
    for name, value in answer.items():
        if isinstance(value, float):
            assert value == pytest.approx(other[name], abs=TOLERANCE), name
        elif name == "horizons":
            for horizon, known in zip(value, other[name], strict=True):
                assert_close(horizon, known)
        elif name == "contributions":
            assert value == pytest.approx(other[name], abs=1e-3)
        else:
            assert value == other[name], name


def test_posted_orders_of_a_known_customer_are_answered_as_the_id_is(served, known, histories):
    posted = served.answer(PostedCustomers.read(histories, AS_OF))
    for answer, other in zip(posted, served.answer(known), strict=True):
        assert_close(answer, other)


def test_answers_follow_the_order_of_histories_and_do_not_depend_on_it(served, histories):
    posted = served.answer(PostedCustomers.read(histories, AS_OF))
    reverse = served.answer(PostedCustomers.read(histories[::-1], AS_OF))[::-1]
    for answer, other in zip(posted, reverse, strict=True):
        assert_close(answer, other)


def test_a_history_without_an_id_is_named_by_its_position(served):
    orders = [{"ts": "2017-11-01", "revenue": 20.0}]
    answers = served.answer(PostedCustomers.read([{"orders": orders}, {"orders": orders}], AS_OF))
    assert [answer["customer_id"] for answer in answers] == ["histories[0]", "histories[1]"]


def test_customers_with_at_most_one_purchase_have_the_basis_population(served):
    once = {"orders": [{"ts": "2017-11-01", "revenue": 200.0, "category": "MILK"}]}
    never, single = served.answer(PostedCustomers.read([{"orders": []}, once], AS_OF))
    assert never["basis"] == single["basis"] == "population"
    unknown = served.answer(["nobody"])[0]
    assert_close(never | {"customer_id": "x"}, unknown | {"customer_id": "x"})
    assert single["explanations"] != never["explanations"]


def test_dates_and_money_alone_are_enough(served):
    orders = [{"ts": f"2017-{month:02}-15", "revenue": 30.0} for month in range(3, 11)]
    (answer,) = served.answer(PostedCustomers.read([{"orders": orders}], AS_OF))
    assert answer["basis"] == "history"
    assert answer["explanations"]


def test_longer_inactivity_increases_churn_and_delays_the_next_purchase(customer_readers):
    churn, next_purchase = customer_readers["churn"], customer_readers["next-purchase"]

    def posted(last):
        days = [last - timedelta(days=7 * k) for k in range(20)]
        return {"orders": [{"ts": day.isoformat(), "revenue": 40.0} for day in days]}

    histories = [posted(AS_OF - timedelta(days=days)) for days in (2, 60)]
    customers = PostedCustomers.read(histories, AS_OF)
    recent, inactive = churn.answer(customers)
    assert inactive["churn_probability"] > 2 * recent["churn_probability"]
    soon, late = (answer["within"][0] for answer in next_purchase.answer(customers, [14]))
    assert late["probability"] < soon["probability"] - 0.2


def test_a_later_instant_can_be_requested(customer_readers):
    orders = [{"ts": f"2017-10-{day:02}", "revenue": 30.0} for day in range(1, 29, 3)]
    now = customer_readers["churn"].answer(PostedCustomers.read([{"orders": orders}], AS_OF))[0]
    later = customer_readers["churn"].answer(
        PostedCustomers.read([{"orders": orders}], AS_OF + timedelta(days=60))
    )[0]
    assert later["churn_probability"] > now["churn_probability"]


@pytest.mark.parametrize("ts", ["2017-11-06", "2018-01-01", "yesterday", "2017-01-01T00:00+01:00"])
def test_an_order_of_an_invalid_time_is_named_by_its_position(ts):
    orders = [{"ts": "2017-01-01"}, {"ts": ts}]
    with pytest.raises(InvalidInput) as error:
        PostedCustomers.read([{"orders": []}, {"orders": orders}], AS_OF)
    assert error.value.field == "histories[1].orders[1].ts"


def test_an_order_without_revenue_is_refused_if_the_models_read_revenue(served):
    posted = [
        {"orders": []},
        {"orders": [{"ts": "2017-01-01", "revenue": 2.0}, {"ts": "2017-01-02"}]},
    ]
    with pytest.raises(InvalidInput, match="what was paid") as error:
        served.answer(PostedCustomers.read(posted, AS_OF))
    assert error.value.field == "histories[1].orders[1].revenue"


def population(**attributes):
    """A population of a typical spend of 20.00; `attributes` says whether each is text."""
    columns = ("customer_id", "order_id", "line", "ts", "day", "quantity", "revenue", "kind")
    catalogue = pl.DataFrame(schema={"product_id": pl.String, "category": pl.String})
    statistics = PopulationStatistics(typical_spend=200_000.0, attributes=tuple(attributes))
    return Population(
        statistics, columns, has_touchpoints=False, attributes=attributes, catalogue=catalogue
    )


@pytest.mark.parametrize(
    ("order", "line"),
    [
        ({"revenue": 20.0}, (1.0, 20.0, "sale")),
        ({"revenue": 20.0, "quantity": 3}, (3.0, 20.0, "sale")),
        ({"revenue": -20.0, "quantity": -1}, (-1.0, -20.0, "return")),
        ({"revenue": 20.0, "quantity": -1}, (-1.0, -20.0, "return")),
        ({"revenue": 20.0, "kind": "return"}, (-1.0, -20.0, "return")),
        ({"revenue": -20.0}, (-1.0, -20.0, "return")),
        ({"quantity": -2}, (-2.0, None, "return")),
    ],
)
def test_returns_are_recognised_as_in_the_import(order, line):
    customers = PostedCustomers.read([{"orders": [{"ts": "2017-01-01"} | order]}], AS_OF)
    assert customers.orders.select("quantity", "revenue", "kind").row(0) == line


def test_a_purchase_that_is_returned_in_part_is_one_visit():
    sale = {"ts": "2017-10-01", "revenue": 20.0, "quantity": 2.0, "kind": "sale"}
    returned = sale | {"ts": "2017-10-20", "revenue": 10.0, "quantity": -1.0}
    posted = PostedCustomers.read([{"orders": [sale, returned]}], AS_OF)
    (row,) = customers(posted.dataset(population()), AS_OF).collect().rows(named=True)
    assert row["visits"] == 1
    assert row["recency"] == 36
    assert row["return_share"] == 0.5


def test_a_purchase_that_is_returned_wholly_is_none():
    sale = {"ts": "2017-10-01", "revenue": 20.0, "quantity": 1.0, "kind": "sale"}
    returned = sale | {"ts": "2017-10-20", "quantity": -1.0}
    posted = PostedCustomers.read([{"orders": [sale, returned]}], AS_OF)
    assert customers(posted.dataset(population()), AS_OF).collect().is_empty()


@pytest.mark.parametrize(
    ("amounts", "field", "cause"),
    [
        ({"revenue": -5.0, "quantity": 1}, "revenue", "negative on a sale"),
        ({"revenue": 5.0, "quantity": 0}, "quantity", "no purchase"),
        ({"revenue": 5e7}, "revenue", r"100,000 times.*20\.00"),
    ],
)
def test_contradictory_amounts_are_refused_by_position(amounts, field, cause):
    valid = {"ts": "2017-01-01", "revenue": 1.0}
    with pytest.raises(InvalidInput, match=cause) as error:
        PostedCustomers.read([{"orders": [valid, valid | amounts]}], AS_OF).dataset(population())
    assert error.value.field == f"histories[0].orders[1].{field}"


def test_attributes_are_spelled_as_in_files():
    attributes = {"size": 2.0, "share": 0.5, "member": True, "income": 35.0, "retired": False}
    texts = {"size": True, "share": True, "member": True}
    posted = PostedCustomers.read([{"orders": [], "attributes": attributes}], AS_OF)
    dataset = posted.dataset(population(**texts, income=False, retired=False))
    (row,) = dataset.table("customers").drop("customer_id").collect().rows(named=True)
    assert row == {"size": "2", "share": "0.5", "member": "true", "income": 35.0, "retired": 0.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "much"])
def test_an_attribute_that_is_no_number_is_refused(value):
    posted = PostedCustomers.read([{"orders": [], "attributes": {"income": value}}], AS_OF)
    with pytest.raises(InvalidInput, match="is no number") as error:
        posted.dataset(population(income=False))
    assert error.value.field == "histories[0].attributes.income"


def test_attributes_change_answers_and_unknown_ones_are_refused(served):
    orders = [{"ts": f"2017-{month:02}-15", "revenue": 30.0} for month in range(1, 11)]
    histories = [
        {"orders": orders},
        {"orders": orders, "attributes": {"income": "35-49K", "age": "65+"}},
    ]
    unknown, known = served.answer(PostedCustomers.read(histories, AS_OF))
    assert unknown != known | {"customer_id": unknown["customer_id"]}
    posted = PostedCustomers.read([{"orders": orders, "attributes": {"shoe_size": 43}}], AS_OF)
    with pytest.raises(InvalidInput, match="household_size") as error:
        served.answer(posted)
    assert error.value.field == "histories[0].attributes.shoe_size"


def test_one_history_takes_half_a_second_at_most(served, histories):
    def seconds() -> float:
        started = time.process_time()
        served.answer(PostedCustomers.read(histories[3:4], AS_OF))
        return time.process_time() - started

    # The minimum excludes delays by other work on the machine.
    assert min(seconds() for _ in range(5)) < 0.5
