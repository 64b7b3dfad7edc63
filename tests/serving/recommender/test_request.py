"""Lists by query: products, order, context and fallbacks without a history or a ranker."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from features.errors import InvalidInput
from serving.recommender.query import LISTS, Filters, ListQuery
from serving.recommender.reader import RecommenderReader

AS_OF = datetime(2017, 11, 6)
NEXT_DAY = AS_OF + timedelta(days=1)
BY_SCORE = ListQuery(allow_adjacent_category=True)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def categories(answers, answer):
    catalogue = answers.index.catalogue
    return [catalogue.category_names[catalogue.codes[product]] for product in products(answer)]


@pytest.fixture(scope="module")
def unranked(answers):
    """The same records, without a trained ranker."""
    store = answers.index.candidates
    bare = replace(store, about=replace(store.about, lists=()))
    return RecommenderReader(replace(answers.index, candidates=bare))


def test_adjacent_products_differ_in_category_unless_allowed(answers, customers):
    adjacent = 0
    for separate, by_score in zip(
        answers.answer(customers, 10), answers.answer(customers, 10, [], BY_SCORE), strict=True
    ):
        shown = categories(answers, separate)
        assert not any(a == b is not None for a, b in pairwise(shown))
        shown = categories(answers, by_score)
        adjacent += sum(a == b is not None for a, b in pairwise(shown))
    assert adjacent > 100


def is_descending(items):
    return all(a["score"] >= b["score"] for a, b in pairwise(items))


@pytest.mark.parametrize("list_name", LISTS)
def test_a_list_is_ordered_by_score_or_says_by_what(answers, customers, list_name):
    popular = [answers.index.catalogue.ids[code] for code in answers.index.popular.top[-1][:9]]
    free = replace(BY_SCORE, list_name=list_name)
    boosted = dict.fromkeys(popular[1:9:2], 50.0)
    moved = 0
    for query, rules in (
        (free, []),
        (replace(free, basket_product_ids=popular[:1]), []),
        (replace(free, allow_adjacent_category=False), ["category"]),
        (replace(free, diversity=0.5), ["diversity"]),
        (replace(free, boosts=boosted), ["boosts"]),
        (replace(free, pinned={1: popular[7], 3: popular[8]}), ["pinned"]),
    ):
        for answer in answers.answer([*customers[:20], "nobody"], 20, [], query):
            expected = [] if is_descending(answer["items"]) else rules
            assert answer["ordered_by"] == ["score", *expected]
            moved += len(expected)
    assert moved > 20
    given = replace(free, list_name="for_you")
    assert is_descending(answers.rerank(customers[:1], popular, given)[0]["items"])


def test_lists_about_products_are_ordered_by_score(answers):
    popular = [answers.index.catalogue.ids[code] for code in answers.index.popular.top[-1][:9]]
    for answer in answers.similar(popular, 20, Filters()):
        assert is_descending(answer["items"])
    for answer in answers.customers_for(popular, 50):
        assert is_descending(answer["customers"])
    assert is_descending(answers.bought_together(popular, 20, Filters())[0]["items"])


def test_a_shorter_list_is_the_beginning_of_a_longer_one(answers, customers):
    for query in (ListQuery(), ListQuery(diversity=0.4), ListQuery(list_name="new_to_you")):
        short, long = (answers.answer(customers[:10], k, [], query) for k in (5, 30))
        assert [products(answer) for answer in short] == [products(answer)[:5] for answer in long]


def test_a_shorter_list_begins_the_longer_one_if_popular_products_fill_it(answers, customers):
    few = ListQuery(filters=Filters(only={"department": ["MEAT", "PASTRY", "DELI"]}))
    ids = [*customers[:60], "nobody"]
    longest = answers.answer(ids, 100, [], few)
    assert any(item["reason"] == "popular" for answer in longest for item in answer["items"])
    for k in (3, 8, 20):
        short = answers.answer(ids, k, [], few)
        assert [products(answer) for answer in short] == [
            products(answer)[:k] for answer in longest
        ]


def test_a_product_pinned_beyond_the_end_is_shown_to_an_unknown_customer(answers):
    few = Filters(only={"department": ["PASTRY"]}, max_price=2.0)
    (plain,) = answers.answer(["nobody"], 100, [], ListQuery(filters=few))
    (last,) = products(plain)[-1:]
    (answer,) = answers.answer(["nobody"], 100, [], ListQuery(filters=few, pinned={100: last}))
    assert len(plain["items"]) < 100
    assert products(answer) == products(plain)


def test_an_unknown_customer_with_a_basket_gets_associated_products(answers):
    association, catalogue = answers.index.association, answers.index.catalogue
    code = int(association.partner[0])
    query = ListQuery(basket_product_ids=[catalogue.ids[code]])
    (answer,) = answers.answer(["nobody"], 10, [], query)
    partners = {catalogue.ids[partner] for partner in association.partner[association.span(code)]}
    assert answer["basis"] == "session"
    first = answer["items"][0]
    assert first["product_id"] in partners
    assert first["reason"] == "basket"
    assert first["explanations"][0].endswith("in the basket")
    assert catalogue.ids[code] not in products(answer)
    assert len(answer["items"]) == 10


def test_products_associated_with_the_basket_of_a_known_customer_rank_higher(answers, customers):
    association, catalogue = answers.index.association, answers.index.catalogue
    moved = []
    for customer in customers[:80]:
        (plain,) = answers.answer([customer], 100, [], BY_SCORE)
        rank = {product: i for i, product in enumerate(products(plain))}
        for product in products(plain)[:40]:
            code = catalogue.codes[product]
            partners = [
                rank[catalogue.ids[partner]]
                for partner in association.partner[association.span(code)]
                if catalogue.ids[partner] in rank
            ]
            if partners:
                query = ListQuery(allow_adjacent_category=True, basket_product_ids=[product])
                (with_basket,) = answers.answer([customer], 100, [], query)
                rank_with_basket = {p: i for i, p in enumerate(products(with_basket))}
                partner = products(plain)[max(partners)]
                assert product not in rank_with_basket
                moved.append(rank_with_basket.get(partner, 100) - rank[partner])
                break
    assert len(moved) > 10
    assert max(moved) <= 0
    assert min(moved) < 0


@pytest.mark.parametrize("list_name", LISTS)
def test_an_excluded_or_out_of_stock_product_never_appears(
    answers, customers, out_of_stock, list_name
):
    everywhere = out_of_stock["everywhere"]
    for location, missing in ((None, everywhere), ("367", everywhere | out_of_stock["367"])):
        query = ListQuery(list_name=list_name, filters=Filters(location_id=location))
        lists = answers.answer([*customers[:40], "nobody"], 10, [], query)
        excluded = {product for answer in lists for product in products(answer)[:3]}
        pinned = ListQuery(
            list_name=list_name,
            filters=Filters(location_id=location),
            pinned={2: min(missing), 3: min(excluded, default=min(missing))},
        )
        for answer in answers.answer([*customers[:40], "nobody"], 100, sorted(excluded), pinned):
            assert not (missing | excluded) & set(products(answer))


def test_new_to_you_holds_only_new_products_and_buy_again_only_bought_ones(
    answers, customers, bought
):
    for answer in answers.answer(customers, 20, [], ListQuery(list_name="new_to_you")):
        assert not bought[answer["customer_id"]] & set(products(answer))
    for answer in answers.answer(customers, 20, [], ListQuery(list_name="buy_again")):
        assert set(products(answer)) <= bought[answer["customer_id"]]


def test_buy_again_states_when_each_product_is_due(answers, customers):
    states = set()
    for answer in answers.answer(customers[:100], 30, [], ListQuery(list_name="buy_again")):
        for item in answer["items"]:
            if item["due"] == "lapsed":
                assert "expected_on" not in item
            else:
                assert datetime.fromisoformat(item["expected_on"]) >= AS_OF
            states.add(item["due"])
    assert states >= {"due", "soon", "not_yet"}


def test_products_lapse_as_days_pass_without_a_purchase(answers, customers):
    later = ListQuery(list_name="buy_again", at=AS_OF + timedelta(days=56))

    def lapsed(query):
        shown = answers.answer(customers[:40], 100, [], query)
        states = [item["due"] for answer in shown for item in answer["items"]]
        return states.count("lapsed") / len(states)

    assert lapsed(later) > lapsed(ListQuery(list_name="buy_again")) + 0.1


def test_filters_constrain_groups_and_prices(answers, customers):
    frame = answers.index.catalogue.frame
    filters = Filters(
        only={"department": ["GROCERY"]}, exclude={"category": ["SOFT DRINKS"]}, max_price=2.0
    )
    for answer in answers.answer([*customers[:20], "nobody"], 10, [], ListQuery(filters=filters)):
        rows = frame.filter(pl.col("product_id").is_in(products(answer)))
        assert answer["items"]
        assert set(rows["department"]) == {"GROCERY"}
        assert "SOFT DRINKS" not in set(rows["category"])
        assert rows["price"].max() <= 2.0


def test_pinned_products_have_the_given_ranks(answers, customers):
    (plain,) = answers.answer(customers[:1], 100)
    late = products(plain)[60]
    other = next(p for p in answers.index.catalogue.ids if p not in products(plain))
    (answer,) = answers.answer(customers[:1], 10, [], ListQuery(pinned={3: late, 1: other}))
    assert products(answer)[2] == late
    assert products(answer)[0] == other
    assert answer["items"][0]["reason"] == "pinned"
    assert len(set(products(answer))) == 10


def test_a_boosted_product_ranks_higher(answers, customers):
    (plain,) = answers.answer(customers[:1], 100, [], BY_SCORE)
    late = products(plain)[30]
    query = ListQuery(boosts={late: 50.0}, allow_adjacent_category=True)
    (answer,) = answers.answer(customers[:1], 100, [], query)
    assert products(answer).index(late) < 30


def test_more_diversity_shows_more_categories(answers, customers):
    catalogue = answers.index.catalogue
    group = catalogue.groups["category"]
    counts = []
    for diversity in (0.0, 0.3, 0.9):
        lists = answers.answer(customers[:60], 10, [], ListQuery(diversity=diversity))
        counts.append(
            sum(len({group[catalogue.codes[p]] for p in products(answer)}) for answer in lists)
        )
    assert counts == sorted(counts)
    assert counts[2] > counts[0]


def test_without_a_ranker_products_are_ranked_by_decayed_baskets(unranked, customers, bought):
    for answer in unranked.answer(customers[:20], 10):
        assert answer["basis"] in ("history", "few_purchases")
        repeat = [item for item in answer["items"] if item["reason"] == "repeat"]
        assert repeat
        assert {item["product_id"] for item in repeat} <= bought[answer["customer_id"]]
    for answer in unranked.answer(customers[:20], 10, [], ListQuery(list_name="new_to_you")):
        assert not set(products(answer)) & bought[answer["customer_id"]]


@pytest.mark.parametrize("list_name", LISTS)
def test_the_same_request_has_the_same_answer(answers, list_name):
    query = ListQuery(list_name=list_name, diversity=0.2, filters=Filters(location_id="367"))
    request = (["1", "nobody"], 20, ["x"], query)
    assert answers.answer(*request) == answers.answer(*request)


def test_a_recent_purchase_of_an_unknown_customer_ranks_lower(answers):
    plain = ListQuery(at=NEXT_DAY, allow_adjacent_category=True)
    (before,) = answers.answer(["nobody"], 100, [], plain)
    first = products(before)[0]
    recent = {first: NEXT_DAY}
    (after,) = answers.answer(["nobody"], 100, [], replace(plain, recent_purchases=recent))
    assert products(after).index(first) > 0
    new = replace(plain, list_name="new_to_you", recent_purchases=recent)
    assert first not in products(answers.answer(["nobody"], 100, [], new)[0])
    # The popular products do not depend on it.
    popular = replace(plain, list_name="popular", recent_purchases=recent)
    assert products(answers.answer(["nobody"], 100, [], popular)[0]) == products(before)


def test_without_a_ranker_a_recent_purchase_ranks_lower(unranked, customers):
    plain = ListQuery(at=NEXT_DAY, allow_adjacent_category=True)
    catalogue = unranked.index.catalogue
    for customer in customers[:20]:
        (before,) = unranked.answer([customer], 100, [], plain)
        # Products that are bought every day or two are needed again the next day.
        lasting = next(
            product
            for product in products(before)[:20]
            if not catalogue.gap[catalogue.codes[product]] < 3
        )
        query = replace(plain, recent_purchases={lasting: NEXT_DAY})
        (after,) = unranked.answer([customer], 100, [], query)
        item = dict(zip(products(after), after["items"], strict=True)).get(lasting)
        score = before["items"][products(before).index(lasting)]["score"]
        assert item is None or item["score"] < score
        new_list = ListQuery(list_name="new_to_you", at=NEXT_DAY)
        (new,) = unranked.answer([customer], 100, [], new_list)
        first = products(new)[0]
        query = replace(new_list, recent_purchases={first: NEXT_DAY})
        (fewer,) = unranked.answer([customer], 100, [], query)
        assert first not in products(fewer)


def test_popular_products_that_fill_a_list_are_not_recent_purchases(unranked, customers):
    plain = ListQuery(at=NEXT_DAY, allow_adjacent_category=True)
    (before,) = unranked.answer([customers[1]], 100, [], plain)
    popular = [item for item in before["items"] if item["reason"] == "popular"]
    query = replace(plain, recent_purchases={popular[0]["product_id"]: NEXT_DAY})
    (after,) = unranked.answer([customers[1]], 100, [], query)
    filled = [item["product_id"] for item in after["items"] if item["reason"] == "popular"]
    assert filled[0] == popular[1]["product_id"]


@pytest.mark.parametrize(
    ("at", "when"), [(NEXT_DAY, NEXT_DAY + timedelta(days=1)), (None, AS_OF + timedelta(days=63))]
)
def test_a_purchase_after_the_day_of_the_list_is_refused_by_product(answers, at, when):
    with pytest.raises(InvalidInput, match="lies after 201") as error:
        answers.answer(["1"], 5, [], ListQuery(at=at, recent_purchases={"995242": when}))
    assert error.value.field == "recent_purchases.995242"
    # The hour of the purchase does not matter.
    recent = {"995242": NEXT_DAY + timedelta(hours=9)}
    query = ListQuery(at=NEXT_DAY, recent_purchases=recent)
    assert answers.answer(["1"], 5, [], query)[0]["items"]


def test_recent_purchases_are_refused_with_histories(answers):
    query = ListQuery(recent_purchases={"995242": AS_OF})
    with pytest.raises(InvalidInput, match="to the orders of its history") as error:
        answers.posted([{"orders": []}], 5, [], query)
    assert error.value.field == "recent_purchases"


@pytest.mark.parametrize(
    ("query", "k", "field"),
    [
        (ListQuery(), 0, "k"),
        (ListQuery(), 101, "k"),
        (ListQuery(list_name="best"), 1, "list"),
        (ListQuery(diversity=1.5), 1, "diversity"),
        (ListQuery(at=AS_OF - timedelta(days=1)), 1, "at"),
        (ListQuery(pinned={1: "no such product"}), 1, "pinned[0]"),
        (ListQuery(filters=Filters(only={"aisle": ["x"]})), 1, "only"),
    ],
)
def test_invalid_options_are_refused_by_field(answers, query, k, field):
    with pytest.raises(InvalidInput) as error:
        answers.answer(["1"], k, [], query)
    assert error.value.field == field
