"""Explanations: they state true facts, and only those that influenced the score."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from serving.recommender.query import RANKED_BY, Filters, ListQuery
from serving.recommender.reader import RecommenderReader
from training.models.recommender.index.candidate_scoring import (
    group_contributions,
    score_candidates,
)
from training.models.recommender.ranking.attribution import EXPLAINED_GROUPS

AS_OF = datetime(2017, 11, 6)

# Reason groups and generator reasons that each beginning of a sentence may stand for.
CAUSES = {
    "you buy this every": {"cadence", "repeat"},
    "you bought this": {"cadence", "repeat"},
    "you buy this": {"repeat"},
    "about time again": {"cadence"},
    "you often buy": {"category", "same_kind", "similar"},
    "goes with": {"neighbours", "similar", "new", "same_kind", "basket"},
    "like ": {"neighbours", "similar", "new", "same_kind"},
    "customers who": {"neighbours", "similar"},
    "popular": {"popular"},
    "new in the range": {"new"},
    "on display": {"promotion"},
    "in this week's": {"promotion"},
}


@pytest.mark.parametrize("list_name", ["for_you", "this_month", "new_to_you", "buy_again"])
def test_explanations_name_only_groups_that_raised_the_score_or_the_generator(
    answers, customers, list_name
):
    store, seen = answers.index.candidates, set()
    for answer in answers.answer(customers[:60], 10, [], ListQuery(list_name=list_name)):
        candidates = score_candidates(store, [answer["customer_id"]])[0]
        ids = store.products["product_id"].gather(candidates.products).to_list()
        for item in answer["items"]:
            if item["product_id"] not in ids:
                continue
            position = np.array([ids.index(item["product_id"])])
            by_group = group_contributions(store, [(candidates, position)], RANKED_BY[list_name])[0]
            raising = {
                group for group, value in zip(EXPLAINED_GROUPS, by_group, strict=True) if value > 0
            }
            for sentence in item["explanations"]:
                start = next(start for start in CAUSES if sentence.startswith(start))
                assert CAUSES[start] & (raising | {item["reason"]})
                seen.add(start)
    assert len(seen) >= (1 if list_name == "buy_again" else 3)


def test_explanations_state_true_facts(answers, customers, bought):
    promoted = promoted_this_week(answers)
    for answer in answers.answer(customers, 20):
        purchases = bought[answer["customer_id"]]
        for item in answer["items"]:
            assert 1 <= len(item["explanations"]) <= 2
            text = " ".join(item["explanations"])
            if "you buy this" in text or "you bought this" in text:
                assert item["product_id"] in purchases
            if text.startswith(("customers who", "goes with", "you often buy", "new in")):
                assert item["product_id"] not in purchases
            if "on display" in text or "leaflet" in text:
                assert item["product_id"] in promoted


def promoted_this_week(answers):
    """Return the products promoted anywhere in the week of the answers."""
    plan, week = answers.index.candidates.plan, (AS_OF - datetime(1970, 1, 1)).days
    ids = answers.index.candidates.products["product_id"].to_numpy()
    return {
        product
        for kind in plan.kinds
        for product in ids[plan.chain_share(kind, week, week + 7) > 0].tolist()
    }


def test_here_is_said_only_of_a_location_with_sales_or_promotions_of_its_own(answers, customers):
    index = answers.index
    ids = [*customers[:40], "nobody"]

    def explanations(reader, location):
        lists = reader.answer(ids, 20, [], ListQuery(filters=Filters(location_id=location)))
        return {
            sentence
            for answer in lists
            for item in answer["items"]
            for sentence in item["explanations"]
        }

    assert {"popular here now", "on display here this week"} <= explanations(answers, "367")
    catalogue = replace(index.catalogue, locations=index.catalogue.locations | {"new"})
    with_new_location = RecommenderReader(replace(index, catalogue=catalogue))
    sentences = explanations(with_new_location, "new")
    assert "popular now" in sentences
    assert not any("here" in sentence for sentence in sentences)
