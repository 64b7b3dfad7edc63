"""Scores of published candidates: time, location, promotions and recent purchases."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from training.models.recommender.index.candidate_store import PublishedLists
from training.models.recommender.inputs.promotions import PromotionPeriods, PromotionPlan
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def journey(journey, rewritten):
    """The households with the promotions around `AS_OF`."""
    day = (AS_OF - datetime(1970, 1, 1)).days
    promotions = journey.table("promotions").to_native()
    near = promotions.filter(pl.col("to_day") > day - 30, pl.col("from_day") < day + 28)
    return rewritten(journey, promotions=near.collect())


@pytest.fixture(scope="module")
def model(journey):
    small = RecommenderModel(
        cutoffs=1, static_rounds=30, context_rounds=40, scored_products=500, min_data_in_leaf=50
    )
    return small.fit(journey, AS_OF)


@pytest.fixture(scope="module")
def published(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(model, journey, AS_OF, folder)
    return PublishedLists.load(folder)


@pytest.fixture(scope="module")
def lists(model, journey):
    return model.predict(journey, AS_OF)


@pytest.fixture(scope="module")
def customers(published):
    return published.customers.filter(pl.col("baskets") > 20)["customer_id"].to_list()[:40]


def test_what_is_published_ranks_as_the_model_does(published, lists, customers):
    for customer in customers[:10]:
        found = published.candidates(customer)
        ids = published.products["product_id"].gather(found.products)
        mine = pl.DataFrame({"product_id": ids, **found.scores, "own": found.own})
        theirs = lists.filter(pl.col("customer_id") == customer).join(mine, on="product_id")
        assert theirs.get_column("score").to_numpy() == pytest.approx(
            theirs.get_column("now").to_numpy(), rel=1e-5
        )
        assert theirs.get_column("month").to_numpy() == pytest.approx(
            theirs.get_column("month_right").to_numpy(), rel=1e-5
        )
        assert ((theirs.get_column("reason") == "repeat") == theirs.get_column("own")).all()


def test_the_same_request_gets_the_same_answer(published, customers):
    asked = {"at": AS_OF + timedelta(days=3), "location_id": "367"}
    first, second = (published.candidates(customers[0], **asked) for _ in range(2))
    assert np.array_equal(first.scores["now"], second.scores["now"])


def test_what_a_kind_of_list_shows_is_scored_as_among_all(published, customers):
    for customer in customers[:5]:
        everything = published.candidates(customer)
        again = published.candidates(customer, kinds=("now",), own_alone=True)
        of_own = np.where(everything.own, everything.scores["now"], np.nan)
        assert np.array_equal(again.scores["now"], of_own, equal_nan=True)
        new = published.candidates(customer, kinds=("explore",))
        assert np.array_equal(new.scores["explore"], everything.scores["explore"], equal_nan=True)


def test_what_was_just_bought_and_lasts_long_moves_down(published, customers):
    day = AS_OF + timedelta(days=1)
    falls = []
    for customer in customers:
        before = published.candidates(customer, at=day)
        gap = before.features["gap_mean"]
        lasting = np.flatnonzero((gap > 21) & (before.features["recency_days"] > 14))
        if not len(lasting):
            continue
        best = lasting[np.argmax(before.scores["now"][lasting])]
        product = published.products["product_id"][int(before.products[best])]
        after = published.candidates(customer, at=day, bought={product: day})
        falls.append(after.scores["now"][best] - before.scores["now"][best])
    assert len(falls) > 20
    assert max(falls) < 0


def test_what_was_just_bought_is_new_no_more(published, customers):
    before = published.candidates(customers[0])
    best = int(np.nanargmax(before.scores["explore"]))
    product = published.products["product_id"][int(before.products[best])]
    after = published.candidates(customers[0], bought={product: AS_OF})
    assert not before.own[best]
    assert after.own[best]
    assert np.isnan(after.scores["explore"][best])


def test_a_purchase_before_the_version_counts_where_the_records_lack_it(published, customers):
    before = published.candidates(customers[0])
    at = int(np.nanargmax(np.where(before.features["recency_days"] > 14, before.scores["now"], 0)))
    product = published.products["product_id"][int(before.products[at])]
    known = AS_OF - timedelta(days=float(before.features["recency_days"][at]))
    for when in (known, known - timedelta(days=30)):
        same = published.candidates(customers[0], bought={product: when})
        assert np.array_equal(same.scores["now"], before.scores["now"])
        assert same.features["recency_days"][at] == before.features["recency_days"][at]
    late = published.candidates(customers[0], bought={product: AS_OF - timedelta(days=2)})
    assert late.features["recency_days"][at] == 2


def test_promotion_at_the_place_never_lowers_a_product(published, customers):
    for customer in customers[:10]:
        row = published.codes[customer]
        cols = np.asarray(published.arrays["product"][slice(*published.spans[row])], np.int64)
        here = published.places[0][row][0]
        day = (AS_OF - datetime(1970, 1, 1)).days
        without = published.candidates(customer)
        kinds = {}
        for kind, periods in published.plan.kinds.items():
            keys = np.concatenate([periods.keys, here * published.plan.products + cols])
            weeks = np.full(len(cols), day)
            kinds[kind] = PromotionPeriods.build(
                keys,
                np.concatenate([periods.starts, weeks]),
                np.concatenate([periods.ends, weeks + 7]),
                np.concatenate([periods.uplift, np.ones(len(cols), np.float32)]),
                published.plan.locations,
                published.plan.products,
            )
        plan = PromotionPlan(kinds, published.plan.locations, published.plan.products)
        promoted = PublishedLists(**{**vars(published), "plan": plan}).candidates(customer)
        for kind in published.kinds:
            gain = promoted.scores[kind] - without.scores[kind]
            assert np.nanmin(gain) >= -1e-12


def test_a_place_changes_what_is_promoted(published, customers):
    usual = published.candidates(customers[0])
    other = published.candidates(customers[0], location_id="no such place")
    promoted = "mailer_this_week"
    assert not np.array_equal(usual.features[promoted], other.features[promoted])
