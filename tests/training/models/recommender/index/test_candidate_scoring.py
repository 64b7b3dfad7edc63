"""Scores of published candidates: time, location, promotions and recent purchases."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from training.contract import model_with_options
from training.models.recommender.index.candidate_scoring import score_candidates
from training.models.recommender.index.candidate_store import CandidateStore
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
    small = model_with_options(
        RecommenderModel,
        {
            "cutoffs": 1,
            "rounds": 40,
            "scored_products": 500,
            "min_data_in_leaf": 50,
        },
    )
    return small.fit(journey, AS_OF)


@pytest.fixture(scope="module")
def store(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(model, journey, AS_OF, folder)
    return CandidateStore.load(folder)


@pytest.fixture(scope="module")
def lists(model, journey):
    return model.predict(journey, AS_OF)


@pytest.fixture(scope="module")
def customers(store):
    return store.customers.filter(pl.col("baskets") > 20)["customer_id"].to_list()[:40]


def candidates_of(store, customer, **context):
    return score_candidates(store, [customer], **context)[0]


def test_published_scores_equal_those_of_the_model(store, lists, customers):
    for customer in customers[:10]:
        candidates = candidates_of(store, customer)
        ids = store.products["product_id"].gather(candidates.products)
        own = pl.DataFrame(
            {"product_id": ids, **candidates.scores, "bought_before": candidates.bought_before}
        )
        rows = lists.filter(pl.col("customer_id") == customer).join(own, on="product_id")
        assert rows.get_column("score").to_numpy() == pytest.approx(
            rows.get_column("now").to_numpy(), rel=1e-5
        )
        assert rows.get_column("month").to_numpy() == pytest.approx(
            rows.get_column("month_right").to_numpy(), rel=1e-5
        )
        assert ((rows.get_column("reason") == "repeat") == rows.get_column("bought_before")).all()


def test_published_scores_equal_those_in_the_same_context(store, customers):
    for customer in customers[:5]:
        candidates = candidates_of(store, customer, lists=("now", "month"))
        span = slice(*store.spans[store.customer_rows[customer]])
        context = store.ranker.context.encode_matrix(candidates.context)
        codes = np.concatenate([store.arrays["static_codes"][span], context], axis=1)
        raw = store.ranker.scores(codes)
        for name, published in candidates.scores.items():
            size = candidates.features["customer_size"]
            scored = store.ranker.probability(name, raw, size)
            assert published == pytest.approx(scored, rel=1e-6)


def test_customers_together_get_the_scores_of_each_alone(store, customers):
    context = {"at": AS_OF + timedelta(days=3)}
    for customer, together in zip(
        customers, score_candidates(store, customers, **context), strict=True
    ):
        alone = candidates_of(store, customer, **context)
        assert np.array_equal(alone.products, together.products)
        for name in store.about.lists:
            assert np.array_equal(alone.scores[name], together.scores[name], equal_nan=True)
        assert all(
            np.array_equal(alone.features[name], together.features[name], equal_nan=True)
            for name in alone.features
        )


def test_the_same_request_gets_the_same_scores(store, customers):
    context = {"at": AS_OF + timedelta(days=3), "location_id": "367"}
    first, second = (candidates_of(store, customers[0], **context) for _ in range(2))
    assert np.array_equal(first.scores["now"], second.scores["now"])


def test_scores_of_one_list_equal_those_of_all_lists(store, customers):
    for customer in customers[:5]:
        everything = candidates_of(store, customer)
        again = candidates_of(store, customer, lists=("now",), bought_before_only=True)
        expected = np.where(everything.bought_before, everything.scores["now"], np.nan)
        assert np.array_equal(again.scores["now"], expected, equal_nan=True)
        new = candidates_of(store, customer, lists=("explore",))
        assert np.array_equal(new.scores["explore"], everything.scores["explore"], equal_nan=True)


def test_a_recent_purchase_with_a_long_gap_lowers_the_score(store, customers):
    day = AS_OF + timedelta(days=1)
    falls = []
    for customer in customers:
        before = candidates_of(store, customer, at=day)
        gap = before.features["gap_mean"]
        lasting = np.flatnonzero((gap > 21) & (before.features["recency_days"] > 14))
        if not len(lasting):
            continue
        best = lasting[np.argmax(before.scores["now"][lasting])]
        product = store.products["product_id"][int(before.products[best])]
        after = candidates_of(store, customer, at=day, recent_purchases={product: day})
        falls.append(after.scores["now"][best] - before.scores["now"][best])
    assert len(falls) > 20
    assert max(falls) < 0


def test_a_recent_purchase_may_be_added_to_the_state_that_is_ranked(store, customers):
    before = candidates_of(store, customers[0], lists=("now",))
    best = int(np.nanargmax(np.where(before.features["recency_days"] > 14, 1, 0)))
    product = store.products["product_id"][int(before.products[best])]
    purchase = {"recent_purchases": {product: AS_OF}, "lower_recent": False}
    after = candidates_of(store, customers[0], lists=("now",), **purchase)
    assert after.features["recency_days"][best] == 0
    assert after.features["baskets"][best] == before.features["baskets"][best] + 1
    others = np.arange(len(before.products)) != best
    for name in ("recency_days", "baskets", "gap_mean"):
        values = before.features[name][others]
        assert np.array_equal(after.features[name][others], values, equal_nan=True)
    assert not np.array_equal(after.scores["now"], before.scores["now"])


def test_a_recent_purchase_is_no_longer_new(store, customers):
    before = candidates_of(store, customers[0])
    best = int(np.nanargmax(before.scores["explore"]))
    product = store.products["product_id"][int(before.products[best])]
    after = candidates_of(store, customers[0], recent_purchases={product: AS_OF})
    assert not before.bought_before[best]
    assert after.bought_before[best]
    assert np.isnan(after.scores["explore"][best])


def test_a_purchase_before_as_of_counts_if_the_records_lack_it(store, customers):
    before = candidates_of(store, customers[0])
    best = int(
        np.nanargmax(np.where(before.features["recency_days"] > 14, before.scores["now"], 0))
    )
    product = store.products["product_id"][int(before.products[best])]
    known = AS_OF - timedelta(days=float(before.features["recency_days"][best]))
    for when in (known, known - timedelta(days=30)):
        same = candidates_of(store, customers[0], recent_purchases={product: when})
        assert np.array_equal(same.scores["now"], before.scores["now"])
        assert same.features["recency_days"][best] == before.features["recency_days"][best]
    late = candidates_of(store, customers[0], recent_purchases={product: AS_OF - timedelta(days=2)})
    assert late.features["recency_days"][best] == 2


def test_a_promotion_at_the_location_never_lowers_a_score(store, customers):
    for customer in customers[:10]:
        row = store.customer_rows[customer]
        cols = np.asarray(store.arrays["product"][slice(*store.spans[row])], np.int64)
        location = store.usual_locations[0][row][0]
        # Scores of another day than the published ones are computed with the plan.
        tomorrow = AS_OF + timedelta(days=1)
        day = (tomorrow - datetime(1970, 1, 1)).days
        without = candidates_of(store, customer, at=tomorrow)
        kinds = {}
        for kind, periods in store.plan.kinds.items():
            keys = np.concatenate([periods.keys, location * store.plan.products + cols])
            weeks = np.full(len(cols), day)
            kinds[kind] = PromotionPeriods.build(
                keys,
                np.concatenate([periods.starts, weeks]),
                np.concatenate([periods.ends, weeks + 7]),
                np.concatenate([periods.uplift, np.ones(len(cols), np.float32)]),
                store.plan.locations,
                store.plan.products,
            )
        plan = PromotionPlan(kinds, store.plan.locations, store.plan.products)
        promoted = candidates_of(replace(store, plan=plan), customer, at=tomorrow)
        for name in store.about.lists:
            gain = promoted.scores[name] - without.scores[name]
            assert np.nanmin(gain) >= -1e-12


def test_the_location_changes_promotions(store, customers):
    usual = candidates_of(store, customers[0])
    other = candidates_of(store, customers[0], location_id="no such location")
    promoted = "mailer_this_week"
    assert not np.array_equal(usual.features[promoted], other.features[promoted])
