"""Lists about products: a given one in a customer's order, look-alikes, likely buyers."""

import polars as pl
import pytest

from features.errors import InvalidInput, NotFound
from serving.recommender.query import Filters, ListQuery

PLAIN = ListQuery(allow_adjacent_category=True)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def test_rerank_returns_all_products_in_the_customers_order(answers, customers):
    (plain,) = answers.answer(customers[:1], 20, [], PLAIN)
    strange = [one for one in answers.shelf.catalogue.ids if one not in products(plain)][:3]
    strange = [
        one
        for one in strange
        if answers.shelf.catalogue.anything[answers.shelf.catalogue.codes[one]]
    ]
    shuffled = [*strange, *reversed(products(plain))]
    (answer,) = answers.rerank(customers[:1], shuffled, ListQuery())
    assert set(products(answer)) == set(shuffled)
    assert [one for one in products(answer) if one in products(plain)] == products(plain)
    with pytest.raises(InvalidInput, match="never") as error:
        answers.rerank(customers[:1], ["no such product"], ListQuery())
    assert error.value.field == "product_ids[0]"


def test_similar_products_are_of_the_kind_and_never_the_product_itself(answers):
    catalogue = answers.shelf.catalogue
    top = [catalogue.ids[code] for code in answers.shelf.popular.top[-1][:20]]
    same = []
    for answer in answers.similar(top, 5, Filters()):
        assert answer["product_id"] not in products(answer)
        code = catalogue.codes[answer["product_id"]]
        same += [
            catalogue.groups["category"][catalogue.codes[p]] == catalogue.groups["category"][code]
            for p in products(answer)
        ]
    assert sum(same) / len(same) > 0.8


def test_a_product_nobody_bought_is_found_by_what_it_is(answers):
    frame = answers.shelf.catalogue.frame
    unsold = frame.filter(pl.col("buyers") == 0, pl.col("subcategory").is_not_null())
    (answer,) = answers.similar([unsold["product_id"][0]], 5, Filters())
    assert answer["basis"] == "attributes"
    kinds = frame.filter(pl.col("product_id").is_in(products(answer)))["subcategory"]
    assert unsold["subcategory"][0] in set(kinds)


def test_an_unknown_product_is_not_found(answers):
    with pytest.raises(NotFound, match="never sold"):
        answers.similar(["no such product"], 5, Filters())
    with pytest.raises(NotFound) as error:
        answers.together(["no such product"], 5, Filters())
    assert error.value.field == "product_ids[0]"


def test_customers_for_a_product_are_those_whose_lists_hold_it(answers, lists):
    top = lists.filter(pl.col("rank") == 1)["product_id"].mode()[0]
    (answer,) = answers.customers_for([top], 10)
    found = [one["customer_id"] for one in answer["customers"]]
    theirs = lists.filter(pl.col("product_id") == top).sort("month", descending=True)
    assert set(found[:3]) <= set(theirs["customer_id"].head(5))
    scores = [one["score"] for one in answer["customers"]]
    assert scores == sorted(scores, reverse=True)
