"""Answers of a published recommender, compared with the predictions of the model."""

import polars as pl
import pytest

from serving.recommender.query import ListQuery

BY_SCORE = ListQuery(allow_adjacent_category=True)


def test_answers_by_score_equal_the_predictions_of_the_model(
    answers, lists, customers, out_of_stock
):
    for answer in answers.answer(customers[:60], 20, [], BY_SCORE):
        expected = lists.filter(
            pl.col("customer_id") == answer["customer_id"],
            pl.col("rank") <= 100,
            ~pl.col("product_id").is_in(list(out_of_stock["everywhere"])),
        ).head(20)
        items = answer["items"]
        assert [item["product_id"] for item in items] == expected["product_id"].to_list()
        assert [item["reason"] for item in items] == expected["reason"].to_list()
        assert [item["score"] for item in items] == pytest.approx(
            expected["score"].to_list(), rel=1e-6
        )


def test_answers_are_in_the_order_of_the_ids(answers):
    ids = ["1001", "nobody", "1", "1001"]
    assert [answer["customer_id"] for answer in answers.answer(ids, 1, [])] == ids


def test_an_unknown_customer_gets_popular_products_and_the_basis_says_so(answers):
    first, second = answers.answer(["nobody", "no one"], 5, [])
    assert first["basis"] == "population"
    assert {item["reason"] for item in first["items"]} == {"popular"}
    explanations = {sentence for item in first["items"] for sentence in item["explanations"]}
    assert explanations == {"popular now"}
    assert first["items"] == second["items"]
    assert len(first["items"]) == 5


def test_the_basis_tells_few_purchases(answers, customers):
    baskets = dict(zip(customers, answers.index.baskets, strict=True))
    few = [customer for customer in customers if baskets[customer] < 3]
    many = [customer for customer in customers[:50] if baskets[customer] >= 3]
    assert {answer["basis"] for answer in answers.answer(many, 1, [])} == {"history"}
    assert all(answer["basis"] == "few_purchases" for answer in answers.answer(few, 1, []))
