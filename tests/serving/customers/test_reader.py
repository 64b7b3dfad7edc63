"""Facts about the answers of every customer model."""

import time

import pytest

from training.customers.cutoffs import customer_features


@pytest.fixture(params=["churn", "next-purchase", "value"])
def served(request, customer_readers):
    return customer_readers[request.param]


def test_answers_are_in_request_order_with_repetitions(served):
    first, second = sorted(served.customers.positions)[:2]
    ids = [second, first, "nobody", second]
    assert [answer["customer_id"] for answer in served.answer(ids)] == ids


def test_an_answer_does_not_depend_on_other_customers(served):
    many = served.answer(sorted(served.customers.positions)[:50])
    for answer in many[::10]:
        assert served.answer([answer["customer_id"]]) == [answer]


def test_the_basis_follows_the_number_of_visits(served, journey, customers_as_of):
    features = customer_features(journey, customers_as_of)
    visits = dict(features.select("customer_id", "visits").iter_rows())
    for answer in served.answer(list(visits)):
        count = visits[answer["customer_id"]]
        expected = "history" if count >= 3 else "few_purchases" if count == 2 else "population"
        assert answer["basis"] == expected


def test_ten_thousand_are_answered_in_two_seconds(served):
    known = sorted(served.customers.positions)
    ids = known * (5_000 // len(known) + 1) + [f"unknown {k}" for k in range(5_000)]
    started = time.process_time()
    assert len(served.answer(ids)) >= 10_000
    assert time.process_time() - started < 2
