"""Lists of customers whose orders come with the request."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.errors import InvalidInput
from serving.recommender.query import ListQuery
from serving.recommender.schemas import RecommendOfHistories

AS_OF = datetime(2017, 11, 6)
PLAIN = ListQuery(allow_adjacent_category=True)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def history(journey, customer, before=AS_OF):
    """Return a customer's own orders as they would be posted."""
    orders = journey.known("orders", before).to_native()
    columns = ["order_id", "product_id", "location_id", "quantity", "revenue"]
    rows = orders.filter(pl.col("customer_id") == customer).collect()
    lines = rows.select(pl.col("ts").dt.to_string("iso:strict").alias("ts"), *columns)
    return {"customer_id": customer, "orders": lines.to_dicts()}


def test_the_basis_depends_on_the_number_of_posted_baskets(answers, journey, customers):
    complete = history(journey, customers[0])
    first = complete["orders"][0]["order_id"]
    single = {"orders": [line for line in complete["orders"] if line["order_id"] == first]}
    long, short, none = answers.posted([complete, single, {"orders": []}], 10)
    assert [answer["basis"] for answer in (long, short, none)] == [
        "history",
        "few_purchases",
        "population",
    ]
    assert [answer["customer_id"] for answer in (long, short, none)] == [
        customers[0],
        "histories[1]",
        "histories[2]",
    ]
    assert all(len(answer["items"]) == 10 for answer in (long, short, none))
    code = int(answers.index.association.partner[0])
    basket = ListQuery(basket_product_ids=[answers.index.catalogue.ids[code]])
    assert answers.posted([{"orders": []}], 10, [], basket)[0]["basis"] == "session"


def test_a_list_from_posted_orders_shares_products_with_that_of_the_known_customer(
    answers, journey, customers, bought
):
    shared = []
    for customer in customers[:12]:
        (posted,) = answers.posted([history(journey, customer)], 20, [], PLAIN)
        (own,) = answers.answer([customer], 20, [], PLAIN)
        shared.append(len(set(products(posted)) & set(products(own))))
        for item in posted["items"]:
            text = " ".join(item["explanations"]).replace(", which you bought", "")
            assert (item["product_id"] in bought[customer]) == (item["reason"] == "repeat")
            assert ("you buy" in text or "you bought" in text) == (item["reason"] == "repeat")
        for name, is_repeat in (("new_to_you", False), ("buy_again", True)):
            (answer,) = answers.posted(
                [history(journey, customer)], 5, [], ListQuery(list_name=name)
            )
            assert all((product in bought[customer]) == is_repeat for product in products(answer))
            assert all(("due" in item) == is_repeat for item in answer["items"])
    assert np.mean(shared) > 5


def test_products_associated_with_posted_orders_rank_above_equally_popular_ones(answers):
    index = answers.index
    code = int(np.argmax(np.diff(index.association.ends)))
    posted = {"orders": [{"ts": "2017-11-05", "product_id": index.catalogue.ids[code]}]}
    (answer,) = answers.posted([posted], 10, [], ListQuery(list_name="new_to_you"))
    (nobody,) = answers.posted([{"orders": []}], 10, [], ListQuery(list_name="popular"))
    partners = {
        index.catalogue.ids[partner]
        for partner in index.association.partner[index.association.span(code)]
    }
    assert len(partners & set(products(answer))) > len(partners & set(products(nobody)))


def test_an_order_not_before_the_time_of_the_list_is_refused_by_its_position(answers):
    late = {"orders": [{"ts": "2017-11-05"}, {"ts": "2017-11-07", "product_id": "1"}]}
    with pytest.raises(InvalidInput, match=r"ask for a later at\.") as error:
        answers.posted([late])
    assert error.value.field == "histories[0].orders[1].ts"
    later = ListQuery(at=AS_OF + timedelta(days=3))
    assert answers.posted([late], 3, [], later)[0]["basis"] == "population"


def test_the_description_of_histories_names_the_field_that_allows_later_orders():
    described = RecommendOfHistories.model_json_schema()["properties"]["histories"]["description"]
    assert "`at` may then be any later instant" in described
