"""Lists follow logged events."""

from datetime import datetime, timedelta

import pytest

from features.events.records import LoggedEvent
from serving.events.live import CustomerEvents
from serving.recommender.query import ListQuery

AS_OF = datetime(2017, 11, 6)


class Logged:
    """Events that the recommender has not seen."""

    def __init__(self, customers=None, sessions=None, unavailable=frozenset()):
        self.customers, self.sessions = customers or {}, sessions or {}
        self.gone = unavailable

    def customer(self, customer_id):
        return self.customers.get(customer_id)

    def session(self, session_id):
        return self.sessions.get(session_id)

    def unavailable(self, at):
        return self.gone


def events(*products, kind="purchase"):
    empty = dict.fromkeys(LoggedEvent._fields)
    rows = (
        {
            "position": k,
            "type": kind,
            "product_id": p,
            "ts": AS_OF + timedelta(hours=k),
            "quantity": 1.0,
        }
        for k, p in enumerate(products, 1)
    )
    return CustomerEvents(tuple(LoggedEvent(**empty | row) for row in rows))


def shown(answers, customer, logged=None, query=None, **options):
    (answer,) = answers.answer([customer], 20, (), query, logged, **options)
    return [item["product_id"] for item in answer["items"]]


def test_a_logged_purchase_is_no_longer_new_to_the_customer(answers, customers):
    query = ListQuery(list_name="new_to_you")
    customer = customers[3]
    first = shown(answers, customer, query=query)[0]
    assert first not in shown(answers, customer, Logged({customer: events(first)}), query)


def test_only_the_list_of_the_customer_of_an_event_changes(answers, customers):
    bought = shown(answers, customers[3])[0]
    logged = Logged({customers[3]: events(bought)})
    assert shown(answers, customers[3], logged) != shown(answers, customers[3])
    assert shown(answers, customers[4], logged) == shown(answers, customers[4])


def test_an_anonymous_session_gets_products_associated_with_what_it_viewed(answers):
    association = answers.index.association
    code = int(association.partner[0])
    seen = answers.index.catalogue.ids[code]
    partners = association.basket_partners(answers.index.catalogue.codes_of([seen])).codes
    logged = Logged(sessions={"s": events(seen, kind="view")})
    (answer,) = answers.answer(["anonymous"], 5, (), None, logged, "s")
    assert answer["basis"] == "session"
    assert answer["items"][0]["product_id"] in {answers.index.catalogue.ids[p] for p in partners}


def test_a_new_customer_gets_a_list_from_the_first_purchase(answers, customers):
    bought = shown(answers, customers[3])[:2]
    (answer,) = answers.answer(["new"], 10, (), None, Logged({"new": events(*bought)}))
    assert answer["basis"] == "few_purchases"


@pytest.mark.parametrize("customer", [3, None])
def test_unavailable_products_are_on_no_list(answers, customers, customer):
    name = "nobody" if customer is None else customers[customer]
    gone = frozenset(shown(answers, name)[:3])
    assert gone.isdisjoint(shown(answers, name, Logged(unavailable=gone)))
