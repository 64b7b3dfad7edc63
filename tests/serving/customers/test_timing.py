"""One model's curves answer for all models of a version."""

import numpy as np

from features.errors import NotFound
from serving.customers.timing import known_ids, source_of, timing_of
from serving.customers.unknown import answer_known


def test_churn_is_the_source_then_next_purchase_then_value():
    assert source_of({"value": 1, "next-purchase": 1, "churn": 1}, "value") == "churn"
    assert source_of({"value": 1, "next-purchase": 1}, "value") == "next-purchase"
    assert source_of({"value": 1, "demand": 1}, "value") == "value"
    assert source_of({"next-category": 1, "churn": 1}, "next-category") == "next-category"


def test_curves_are_in_request_order_and_unknown_customers_are_newcomers(customer_readers):
    reader = timing_of(customer_readers)
    first, second = sorted(reader.customers.positions)[:2]
    curves = reader.curves([second, "nobody", first])
    alone = [reader.curves([name]).within(90)[0] for name in (second, first)]
    newcomer = reader.model.timing_.newcomers()
    np.testing.assert_array_equal(curves.within(90)[[0, 2]], alone)
    np.testing.assert_array_equal(curves.within(90)[1], newcomer.within(90)[0])


def test_customers_without_history_of_a_category_are_known(customer_readers):
    reader = customer_readers["churn"]
    assert all(name in known_ids(customer_readers, "next-category") for name in reader.known_ids)


def test_an_unknown_customer_is_an_error_of_its_entry_with_a_remedy(customer_readers):
    reader = customer_readers["value"]
    known = next(iter(reader.customers.positions))
    first, error, last = answer_known(
        [known, "nobody", known], reader.known_ids, reader.as_of, reader.answer
    )
    assert first == last == reader.answer([known])[0]
    assert isinstance(error, NotFound)
    assert error.field == "customer_ids[1]"
    assert "post the orders" in error.message
