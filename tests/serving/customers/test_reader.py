"""What holds for the answers of every model of customers."""

import time

import pytest

from training.customers.cutoffs import customer_features


@pytest.fixture(params=["churn", "next-purchase", "value"])
def served(request, people):
    return people[request.param]


def test_answers_come_in_the_order_asked_and_as_often(served):
    one, other = sorted(served.customers.positions)[:2]
    asked = [other, one, "nobody", other]
    assert [answer["customer_id"] for answer in served.answer(asked)] == asked


def test_one_customer_alone_is_answered_as_among_many(served):
    many = served.answer(sorted(served.customers.positions)[:50])
    for answer in many[::10]:
        assert served.answer([answer["customer_id"]]) == [answer]


def test_what_an_answer_rests_on_follows_the_number_of_visits(served, journey, people_as_of):
    features = customer_features(journey, people_as_of)
    visits = dict(features.select("customer_id", "visits").iter_rows())
    for answer in served.answer(list(visits)):
        came = visits[answer["customer_id"]]
        expected = "history" if came >= 3 else "few_purchases" if came == 2 else "population"
        assert answer["basis"] == expected


def test_ten_thousand_are_answered_in_two_seconds(served):
    known = sorted(served.customers.positions)
    asked = known * (5_000 // len(known) + 1) + [f"unknown {k}" for k in range(5_000)]
    started = time.process_time()
    assert len(served.answer(asked)) >= 10_000
    assert time.process_time() - started < 2
