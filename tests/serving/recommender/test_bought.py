"""What was bought since the version was published moves down, whatever a list rests on."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from features.errors import InvalidInput
from serving.recommender.query import ListQuery
from serving.recommender.reader import RecommenderAnswers

AS_OF = datetime(2017, 11, 6)
DAY = AS_OF + timedelta(days=1)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


@pytest.fixture(scope="module")
def habits(answers):
    """The same, where no ranker was learned."""
    bare = replace(answers.shelf.ranked, about={**answers.shelf.ranked.about, "kinds": []})
    return RecommenderAnswers(replace(answers.shelf, ranked=bare))


def test_an_unknown_customer_is_not_shown_first_what_they_just_bought(answers):
    plain = ListQuery(at=DAY, allow_adjacent_category=True)
    (before,) = answers.answer(["nobody"], 100, [], plain)
    first = products(before)[0]
    (after,) = answers.answer(["nobody"], 100, [], replace(plain, recent_purchases={first: DAY}))
    assert products(after).index(first) > 0
    new = replace(plain, list_name="new_to_you", recent_purchases={first: DAY})
    assert first not in products(answers.answer(["nobody"], 100, [], new)[0])
    # What is popular stays so.
    popular = replace(plain, list_name="popular", recent_purchases={first: DAY})
    assert products(answers.answer(["nobody"], 100, [], popular)[0]) == products(before)


def test_where_habits_stand_in_what_was_just_bought_moves_down(habits, customers):
    plain = ListQuery(at=DAY, allow_adjacent_category=True)
    for customer in customers[:20]:
        (before,) = habits.answer([customer], 100, [], plain)
        # Of what is bought every day or two as much is wanted the day after.
        lasting = [
            one
            for one in products(before)[:20]
            if not habits.shelf.catalogue.gap[habits.shelf.catalogue.codes[one]] < 3
        ]
        bought = {lasting[0]: DAY}
        (after,) = habits.answer([customer], 100, [], replace(plain, recent_purchases=bought))
        moved = dict(zip(products(after), after["items"], strict=True)).get(lasting[0])
        score = before["items"][products(before).index(lasting[0])]["score"]
        assert moved is None or moved["score"] < score
        (new,) = habits.answer([customer], 100, [], ListQuery(list_name="new_to_you", at=DAY))
        some = {products(new)[0]: DAY}
        (less,) = habits.answer(
            [customer], 100, [], ListQuery(list_name="new_to_you", at=DAY, recent_purchases=some)
        )
        assert not some.keys() & set(products(less))


def test_popular_products_that_follow_are_not_what_was_just_bought(habits, customers):
    plain = ListQuery(at=DAY, allow_adjacent_category=True)
    (before,) = habits.answer([customers[1]], 100, [], plain)
    popular = [item for item in before["items"] if item["reason"] == "popular"]
    first = popular[0]["product_id"]
    (after,) = habits.answer([customers[1]], 100, [], replace(plain, recent_purchases={first: DAY}))
    follows = [item["product_id"] for item in after["items"] if item["reason"] == "popular"]
    assert follows[0] == popular[1]["product_id"]


@pytest.mark.parametrize(
    ("at", "when"), [(DAY, DAY + timedelta(days=1)), (None, AS_OF + timedelta(days=63))]
)
def test_a_purchase_after_the_day_of_the_list_is_refused_by_product(answers, at, when):
    with pytest.raises(InvalidInput, match="lies after 201") as error:
        answers.answer(["1"], 5, [], ListQuery(at=at, recent_purchases={"995242": when}))
    assert error.value.field == "recent_purchases.995242"
    # At any hour of the day it counts.
    hour = ListQuery(at=DAY, recent_purchases={"995242": DAY + timedelta(hours=9)})
    assert answers.answer(["1"], 5, [], hour)[0]["items"]


def test_beside_histories_that_tell_it_what_was_bought_is_refused(answers):
    wish = ListQuery(recent_purchases={"995242": AS_OF})
    with pytest.raises(InvalidInput, match="to the orders of its history") as error:
        answers.posted([{"orders": []}], 5, [], wish)
    assert error.value.field == "recent_purchases"
