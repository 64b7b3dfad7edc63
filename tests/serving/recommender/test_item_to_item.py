"""Lists about products: substitutes, products bought together, likely buyers, given products."""

import polars as pl
import pytest

from features.errors import InvalidInput, NotFound
from serving.recommender.query import Filters, ListQuery

PLAIN = ListQuery(allow_adjacent_category=True)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def test_rerank_orders_all_given_products_for_the_customer(answers, customers):
    (plain,) = answers.answer(customers[:1], 20, [], PLAIN)
    catalogue = answers.index.catalogue
    others = [product for product in catalogue.ids if product not in products(plain)][:3]
    others = [product for product in others if catalogue.in_stock[catalogue.codes[product]]]
    shuffled = [*others, *reversed(products(plain))]
    (answer,) = answers.rerank(customers[:1], shuffled, ListQuery())
    assert set(products(answer)) == set(shuffled)
    assert [product for product in products(answer) if product in products(plain)] == products(
        plain
    )
    with pytest.raises(InvalidInput, match="never") as error:
        answers.rerank(customers[:1], ["no such product"], ListQuery())
    assert error.value.field == "product_ids[0]"


def test_similar_products_share_the_category_and_exclude_the_product_itself(answers):
    catalogue = answers.index.catalogue
    top = [catalogue.ids[code] for code in answers.index.popular.top[-1][:20]]
    same = []
    for answer in answers.similar(top, 5, Filters()):
        assert answer["product_id"] not in products(answer)
        code = catalogue.codes[answer["product_id"]]
        same += [
            catalogue.groups["category"][catalogue.codes[p]] == catalogue.groups["category"][code]
            for p in products(answer)
        ]
    assert sum(same) / len(same) > 0.8


def test_a_product_without_purchases_is_compared_by_attributes(answers):
    frame = answers.index.catalogue.frame
    unsold = frame.filter(pl.col("buyers") == 0, pl.col("subcategory").is_not_null())
    (answer,) = answers.similar([unsold["product_id"][0]], 5, Filters())
    assert answer["basis"] == "attributes"
    subcategories = frame.filter(pl.col("product_id").is_in(products(answer)))["subcategory"]
    assert unsold["subcategory"][0] in set(subcategories)


def test_an_unknown_product_is_not_found(answers):
    for (error,) in (
        answers.similar(["no such product"], 5, Filters()),
        answers.customers_for(["no such product"], 5),
    ):
        assert isinstance(error, NotFound)
        assert "never sold" in error.message
        assert error.field == "product_ids[0]"
    with pytest.raises(NotFound) as error:
        answers.bought_together(["no such product"], 5, Filters())
    assert error.value.field == "product_ids[0]"


def test_likely_buyers_of_a_product_have_it_on_their_lists(answers, lists):
    top = lists.filter(pl.col("rank") == 1)["product_id"].mode()[0]
    (answer,) = answers.customers_for([top], 10)
    buyers = [customer["customer_id"] for customer in answer["customers"]]
    expected = lists.filter(pl.col("product_id") == top).sort("month", descending=True)
    assert set(buyers[:3]) <= set(expected["customer_id"].head(5))
    scores = [customer["score"] for customer in answer["customers"]]
    assert scores == sorted(scores, reverse=True)
