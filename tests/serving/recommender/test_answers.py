"""What a published recommender answers, next to what the model itself says."""

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from features.errors import InvalidInput
from serving.recommender.query import LISTS, RANKED_BY, Filters, ListQuery
from serving.recommender.reader import RecommenderAnswers
from training.models.recommender.ranking.attribution import EXPLAINED_GROUPS, GroupAttribution

AS_OF = datetime(2017, 11, 6)
PLAIN = ListQuery(allow_adjacent_category=True)


def products(answer):
    return [item["product_id"] for item in answer["items"]]


def kinds(answers, answer):
    catalogue = answers.shelf.catalogue
    return [catalogue.kind_names[catalogue.codes[one]] for one in products(answer)]


def test_in_the_order_of_scores_answers_are_the_models_own(answers, lists, customers, out):
    for answer in answers.answer(customers[:60], 20, [], PLAIN):
        own = lists.filter(
            pl.col("customer_id") == answer["customer_id"],
            pl.col("rank") <= 100,
            ~pl.col("product_id").is_in(list(out["anywhere"])),
        ).head(20)
        assert products(answer) == own["product_id"].to_list()
        assert [item["reason"] for item in answer["items"]] == own["reason"].to_list()
        assert [item["score"] for item in answer["items"]] == pytest.approx(
            own["score"].to_list(), abs=1e-9
        )


def test_no_two_of_a_kind_follow_each_other_unless_asked(answers, customers):
    in_a_row = 0
    for answer, plain in zip(
        answers.answer(customers, 10), answers.answer(customers, 10, [], PLAIN), strict=True
    ):
        shown = kinds(answers, answer)
        assert not any(a == b is not None for a, b in pairwise(shown))
        asked = kinds(answers, plain)
        in_a_row += sum(a == b is not None for a, b in pairwise(asked))
    assert in_a_row > 100


def test_a_shorter_list_is_the_beginning_of_a_longer_one(answers, customers):
    for wish in (ListQuery(), ListQuery(diversity=0.4), ListQuery(list_name="new_to_you")):
        short, long = (answers.answer(customers[:10], k, [], wish) for k in (5, 30))
        assert [products(one) for one in short] == [products(one)[:5] for one in long]


def test_a_shorter_list_begins_the_longer_where_popular_products_have_to_follow(answers, customers):
    few = ListQuery(filters=Filters(only={"department": ["MEAT", "PASTRY", "DELI"]}))
    asked = [*customers[:60], "nobody"]
    whole = answers.answer(asked, 100, [], few)
    assert any(item["reason"] == "popular" for one in whole for item in one["items"])
    for k in (3, 8, 20):
        short = answers.answer(asked, k, [], few)
        assert [products(one) for one in short] == [products(one)[:k] for one in whole]


def test_what_is_pinned_is_shown_to_an_unknown_customer_behind_fewer_products(answers):
    few = Filters(only={"department": ["PASTRY"]}, max_price=2.0)
    (plain,) = answers.answer(["nobody"], 100, [], ListQuery(filters=few))
    (late,) = products(plain)[-1:]
    (answer,) = answers.answer(["nobody"], 100, [], ListQuery(filters=few, pinned={100: late}))
    assert len(plain["items"]) < 100
    assert products(answer) == products(plain)


def test_an_unknown_customer_gets_what_is_popular_and_is_told_so(answers):
    first, second = answers.answer(["nobody", "no one"], 5, [])
    assert first["basis"] == "population"
    assert {item["reason"] for item in first["items"]} == {"popular"}
    assert {said for item in first["items"] for said in item["explanations"]} == {"popular now"}
    assert first["items"] == second["items"]
    assert len(first["items"]) == 5


def test_an_unknown_customer_with_a_basket_gets_what_goes_with_it(answers):
    association = answers.shelf.association
    catalogue = answers.shelf.catalogue
    code = int(association.partner[0])
    wish = ListQuery(basket_product_ids=[catalogue.ids[code]])
    (answer,) = answers.answer(["nobody"], 10, [], wish)
    partners = {catalogue.ids[one] for one in association.partner[association.span(code)]}
    assert answer["basis"] == "session"
    first = answer["items"][0]
    assert first["product_id"] in partners
    assert first["reason"] == "basket"
    assert first["explanations"][0].endswith("in the basket")
    assert catalogue.ids[code] not in products(answer)
    assert len(answer["items"]) == 10


def test_what_goes_with_the_basket_comes_forward_for_a_known_customer(answers, customers):
    association, catalogue = answers.shelf.association, answers.shelf.catalogue
    moved = []
    for customer in customers[:80]:
        (plain,) = answers.answer([customer], 100, [], PLAIN)
        place = {one: at for at, one in enumerate(products(plain))}
        for one in products(plain)[:40]:
            code = catalogue.codes[one]
            partners = [
                place[catalogue.ids[p]]
                for p in association.partner[association.span(code)]
                if catalogue.ids[p] in place
            ]
            if partners:
                wish = ListQuery(allow_adjacent_category=True, basket_product_ids=[one])
                (beside,) = answers.answer([customer], 100, [], wish)
                after = {p: at for at, p in enumerate(products(beside))}
                partner = products(plain)[max(partners)]
                assert one not in after
                moved.append(after.get(partner, 100) - place[partner])
                break
    assert len(moved) > 10
    assert max(moved) <= 0
    assert min(moved) < 0


@pytest.mark.parametrize("kind", LISTS)
def test_an_excluded_or_out_of_stock_product_never_appears(answers, customers, out, kind):
    for location, missing in ((None, out["anywhere"]), ("367", out["anywhere"] | out["367"])):
        wish = ListQuery(list_name=kind, filters=Filters(location_id=location))
        whole = answers.answer([*customers[:40], "nobody"], 10, [], wish)
        excluded = {product for one in whole for product in products(one)[:3]}
        pinned = ListQuery(
            list_name=kind,
            filters=Filters(location_id=location),
            pinned={2: min(missing), 3: min(excluded, default=min(missing))},
        )
        for answer in answers.answer([*customers[:40], "nobody"], 100, sorted(excluded), pinned):
            assert not (missing | excluded) & set(products(answer))


def test_new_to_you_shows_nothing_bought_before_and_buy_again_nothing_else(
    answers, customers, bought
):
    for new in answers.answer(customers, 20, [], ListQuery(list_name="new_to_you")):
        assert not bought[new["customer_id"]] & set(products(new))
    for again in answers.answer(customers, 20, [], ListQuery(list_name="buy_again")):
        assert set(products(again)) <= bought[again["customer_id"]]


def test_buy_again_says_when_each_product_is_due(answers, customers):
    states = set()
    for answer in answers.answer(customers[:100], 30, [], ListQuery(list_name="buy_again")):
        for item in answer["items"]:
            if item["due"] == "lapsed":
                assert "expected_on" not in item
            else:
                assert datetime.fromisoformat(item["expected_on"]) >= AS_OF
            states.add(item["due"])
    assert states >= {"due", "soon", "not_yet"}


def test_as_days_pass_without_it_a_product_is_given_up(answers, customers):
    later = ListQuery(list_name="buy_again", at=AS_OF + timedelta(days=56))

    def share(wish):
        shown = answers.answer(customers[:40], 100, [], wish)
        states = [item["due"] for answer in shown for item in answer["items"]]
        return states.count("lapsed") / len(states)

    assert share(later) > share(ListQuery(list_name="buy_again")) + 0.1


def test_filters_leave_only_what_is_asked_for(answers, customers):
    catalogue = answers.shelf.catalogue
    frame = catalogue.frame
    only = Filters(
        only={"department": ["GROCERY"]}, exclude={"category": ["SOFT DRINKS"]}, max_price=2.0
    )
    for answer in answers.answer([*customers[:20], "nobody"], 10, [], ListQuery(filters=only)):
        rows = frame.filter(pl.col("product_id").is_in(products(answer)))
        assert answer["items"]
        assert set(rows["department"]) == {"GROCERY"}
        assert "SOFT DRINKS" not in set(rows["category"])
        assert rows["price"].max() <= 2.0


def test_pinned_products_stand_where_they_are_pinned(answers, customers):
    (plain,) = answers.answer(customers[:1], 100)
    late = products(plain)[60]
    strange = next(one for one in answers.shelf.catalogue.ids if one not in products(plain))
    (answer,) = answers.answer(customers[:1], 10, [], ListQuery(pinned={3: late, 1: strange}))
    assert products(answer)[2] == late
    assert products(answer)[0] == strange
    assert answer["items"][0]["reason"] == "pinned"
    assert len(set(products(answer))) == 10


def test_a_boosted_product_rises(answers, customers):
    (plain,) = answers.answer(customers[:1], 100, [], PLAIN)
    late = products(plain)[30]
    wish = ListQuery(boosts={late: 50.0}, allow_adjacent_category=True)
    (answer,) = answers.answer(customers[:1], 100, [], wish)
    assert products(answer).index(late) < 30


def test_more_variety_shows_more_kinds(answers, customers):
    counts = []
    for variety in (0.0, 0.3, 0.9):
        lists = answers.answer(customers[:60], 10, [], ListQuery(diversity=variety))
        catalogue = answers.shelf.catalogue
        counts.append(
            sum(
                len({catalogue.groups["category"][catalogue.codes[p]] for p in products(one)})
                for one in lists
            )
        )
    assert counts == sorted(counts)
    assert counts[2] > counts[0]


# What each sentence says moved the ranker, or proposed the product.
SAID = {
    "you buy this every": {"cadence", "repeat"},
    "you bought this": {"cadence", "repeat"},
    "you buy this": {"repeat"},
    "about time again": {"cadence"},
    "you often buy": {"category", "same_kind", "similar"},
    "goes with": {"neighbours", "similar", "new", "same_kind", "basket"},
    "like ": {"neighbours", "similar", "new", "same_kind"},
    "customers who": {"neighbours", "similar"},
    "popular where you shop": {"popular_here"},
    "popular with": {"popular_alike"},
    "popular": {"popular"},
    "of the season": {"seasonal"},
    "new in the range": {"new"},
    "on display": {"promotion"},
    "in this week's": {"promotion"},
}


@pytest.mark.parametrize("kind", ["for_you", "this_month", "new_to_you", "buy_again"])
def test_a_reason_names_only_what_moved_the_ranker_or_proposed_the_product(
    answers, customers, kind
):
    ranked, said = answers.shelf.ranked, set()
    for answer in answers.answer(customers[:60], 10, [], ListQuery(list_name=kind)):
        candidates = ranked.candidates(answer["customer_id"])
        ids = ranked.products["product_id"].gather(candidates.products).to_list()
        for item in answer["items"]:
            if item["product_id"] not in ids:
                continue
            at = np.array([ids.index(item["product_id"])])
            moved = ranked.motives(candidates, at, RANKED_BY[kind])[0]
            helped = {name for name, by in zip(EXPLAINED_GROUPS, moved, strict=True) if by > 0}
            for sentence in item["explanations"]:
                start = next(one for one in SAID if sentence.startswith(one))
                assert SAID[start] & (helped | {item["reason"]})
                said.add(start)
    assert len(said) >= (1 if kind == "buy_again" else 3)


def test_motives_and_what_is_said_before_any_make_up_the_score(model, journey):
    booster = model.ranker_.context.boosters["next"]
    rng = np.random.default_rng(3)
    rows = pl.DataFrame(rng.normal(size=(50, len(booster.columns))) * 9, list(booster.columns))
    moved = GroupAttribution.from_booster(booster).by_group(rows.to_numpy())
    raw = booster.predict(rows, raw_score=True)
    assert raw - moved.sum(axis=1) == pytest.approx(np.full(50, (raw - moved.sum(axis=1))[0]))
    assert GroupAttribution.from_booster(booster).by_group(rows.to_numpy()[:0]).shape == (
        0,
        moved.shape[1],
    )


def test_reasons_tell_facts_that_hold(answers, customers, bought):
    promoted = journey_promotions(answers)
    for answer in answers.answer(customers, 20):
        own = bought[answer["customer_id"]]
        for item in answer["items"]:
            assert 1 <= len(item["explanations"]) <= 2
            text = " ".join(item["explanations"])
            if "you buy this" in text or "you bought this" in text:
                assert item["product_id"] in own
            if text.startswith(("customers who", "goes with", "you often buy", "new in")):
                assert item["product_id"] not in own
            if "on display" in text or "leaflet" in text:
                assert item["product_id"] in promoted


def journey_promotions(answers):
    """Return what is promoted anywhere in the week of the answers."""
    plan, week = answers.shelf.ranked.plan, (AS_OF - datetime(1970, 1, 1)).days
    ids = answers.shelf.ranked.products["product_id"].to_numpy()
    return {
        one
        for kind in plan.kinds
        for one in ids[plan.chain_share(kind, week, week + 7) > 0].tolist()
    }


def test_where_no_ranker_was_learned_a_customers_habits_are_ranked(answers, customers, bought):
    ranked = answers.shelf.ranked
    bare = replace(ranked, about={**ranked.about, "kinds": []})
    fallback = RecommenderAnswers(replace(answers.shelf, ranked=bare))
    for answer in fallback.answer(customers[:20], 10):
        assert answer["basis"] in ("history", "few_purchases")
        first = [item for item in answer["items"] if item["reason"] == "repeat"]
        assert first
        assert {item["product_id"] for item in first} <= bought[answer["customer_id"]]
    for answer in fallback.answer(customers[:20], 10, [], ListQuery(list_name="new_to_you")):
        assert not {item["product_id"] for item in answer["items"]} & bought[answer["customer_id"]]


def test_here_is_said_only_where_the_place_sells_or_plans_itself(answers, customers):
    shelf = answers.shelf
    asked = [*customers[:40], "nobody"]

    def said(of, place):
        wish = ListQuery(filters=Filters(location_id=place))
        lists = of.answer(asked, 20, [], wish)
        return {text for one in lists for item in one["items"] for text in item["explanations"]}

    assert {"popular here now", "on display here this week"} <= said(answers, "367")
    catalogue = replace(shelf.catalogue, locations=shelf.catalogue.locations | {"new"})
    opened = RecommenderAnswers(replace(shelf, catalogue=catalogue))
    new = said(opened, "new")
    assert "popular now" in new
    assert not any("here" in text for text in new)


def test_the_order_asked_is_the_order_answered(answers):
    asked = ["1001", "nobody", "1", "1001"]
    assert [one["customer_id"] for one in answers.answer(asked, 1, [])] == asked


@pytest.mark.parametrize("kind", LISTS)
def test_the_same_question_has_the_same_answer(answers, kind):
    wish = ListQuery(list_name=kind, diversity=0.2, filters=Filters(location_id="367"))
    asked = (["1", "nobody"], 20, ["x"], wish)
    assert answers.answer(*asked) == answers.answer(*asked)


def test_few_baskets_are_said_to_be_few(answers, customers):
    baskets = dict(zip(customers, answers.shelf.baskets, strict=True))
    few = [customer for customer in customers if baskets[customer] < 3]
    many = [customer for customer in customers[:50] if baskets[customer] >= 3]
    assert {one["basis"] for one in answers.answer(many, 1, [])} == {"history"}
    assert all(one["basis"] == "few_purchases" for one in answers.answer(few, 1, []))


@pytest.mark.parametrize(
    ("wish", "k", "field"),
    [
        (ListQuery(), 0, "k"),
        (ListQuery(), 101, "k"),
        (ListQuery(list_name="best"), 1, "list"),
        (ListQuery(diversity=1.5), 1, "diversity"),
        (ListQuery(at=AS_OF - timedelta(days=1)), 1, "at"),
        (ListQuery(pinned={1: "no such product"}), 1, "pinned[0]"),
        (ListQuery(filters=Filters(only={"shelf": ["x"]})), 1, "only"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_field(answers, wish, k, field):
    with pytest.raises(InvalidInput) as error:
        answers.answer(["1"], k, [], wish)
    assert error.value.field == field


def test_answering_loads_no_training_libraries():
    code = (
        "import sys, serving.recommender.reader; "
        "print([m for m in ('mlflow', 'matplotlib', 'implicit', 'lifelines', 'statsforecast') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
