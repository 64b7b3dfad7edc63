"""What a request changes of a ranking: the clock, the place, what was just bought."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.models.recommender.index.candidate_store import PublishedLists
from training.models.recommender.inputs.interactions import build_interactions, interactions_at
from training.models.recommender.inputs.locations import CustomerLocations
from training.models.recommender.inputs.promotions import (
    MAX_AHEAD_DAYS,
    PromotionPeriods,
    PromotionPlan,
)
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish
from training.models.recommender.ranking.context_features import (
    INTERVAL_ENDS,
    RepurchaseHazards,
    advance_days,
    remaining_need,
)

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def journey(journey, rewritten):
    """The households with the promotions of these weeks."""
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
        for kind, stretches in published.plan.kinds.items():
            keys = np.concatenate([stretches.keys, here * published.plan.products + cols])
            weeks = np.full(len(cols), day)
            kinds[kind] = PromotionPeriods.of(
                keys,
                np.concatenate([stretches.starts, weeks]),
                np.concatenate([stretches.ends, weeks + 7]),
                np.concatenate([stretches.worth, np.ones(len(cols), np.float32)]),
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


def test_days_that_pass_move_clocks_and_nothing_else():
    state = {
        name: np.array([3.0, np.nan], np.float32)
        for name in (
            "recency_days",
            "type_recency_days",
            "kind_recency_days",
            "customer_recency_days",
            "decay_14d",
            "baskets_7d",
            "gap_mean",
        )
    }
    later = advance_days(state, 14)
    assert later["recency_days"][0] == 17
    assert later["decay_14d"][0] == 1.5
    assert later["baskets_7d"][0] == 0
    assert later["gap_mean"][0] == 3
    assert all(np.isnan(values[1]) for values in later.values())


def test_what_is_used_up_by_the_next_basket_is_wanted_as_before():
    state = {
        "gap_mean": np.array([3, 40, np.nan], np.float32),
        "product_gap": np.array([9, 9, 80], np.float32),
        "customer_cadence": np.full(3, 4, np.float32),
    }
    just_now = np.zeros(3, np.float32)
    assert remaining_need(state, just_now).tolist() == pytest.approx([1.0, 0.1, 0.1])
    assert remaining_need(state, just_now + 16).tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert remaining_need(state, just_now * np.nan).tolist() == [1, 1, 1]


def test_what_nobody_bought_again_lasts_for_ever():
    # A fridge; one of which a customer bought two on one day; bread, bought twice a day as well.
    state = {
        "gap_mean": np.array([np.nan, 0, 0], np.float32),
        "product_gap": np.array([0, 0, 3], np.float32),
        "customer_cadence": np.full(3, 4, np.float32),
    }
    just_now = np.zeros(3, np.float32)
    assert remaining_need(state, just_now).tolist() == pytest.approx([0.1, 0.1, 1.0])
    assert remaining_need(state, just_now + 60).tolist() == pytest.approx([0.1, 0.1, 1.0])
    assert remaining_need(state, just_now * np.nan).tolist() == [1, 1, 1]


def test_clocks_count_the_gaps_that_reached_a_stretch():
    cols = np.zeros(100, np.int64)
    # Every pair was bought again after ten days, once, and then no more for 100 days.
    ended = [np.full(100, float(edge >= 10)) for edge in INTERVAL_ENDS] + [np.ones(100)]
    hazards = RepurchaseHazards.fit(cols, ended, np.full(100, 100.0), 1)
    first, second, third = hazards.hazard[0, :3]
    assert first == second == 0
    assert third == pytest.approx(0.5, abs=0.02)


def test_a_plan_counts_days_places_and_worth():
    known_products, day = 2, 100
    stretches = PromotionPeriods.of(
        np.array([0 * known_products + 1, 1 * known_products + 1]),
        np.array([100, 90]),
        np.array([107, 101]),
        np.array([2.0, 1.0], np.float32),
        2,
        known_products,
    )
    plan = PromotionPlan({"display": stretches}, 2, known_products)
    shares = plan.shares(
        np.array([[0, 1], [0, 1]]),
        np.array([[0.75, 0.25], [0.75, 0.25]], np.float32),
        np.array([0, 1]),
        day,
    )
    assert shares["display_this_week"].tolist() == pytest.approx([0, 0.75 + 0.25 / 7])
    assert shares["display_worth"].tolist() == pytest.approx([0, 0.75 * 2 + 0.25 / 7])
    assert shares["display_chain"].tolist() == pytest.approx([0, (7 + 1) / 14])


def test_the_last_day_that_is_answered_for_looks_as_far_ahead_as_the_first():
    today = to_day(AS_OF)
    orders = pl.DataFrame(
        {
            "customer_id": ["a"] * 9,
            "order_id": [str(n) for n in range(9)],
            "product_id": ["tea"] * 9,
            "location_id": ["north"] * 9,
            "ts": [AS_OF - timedelta(days=3 * n + 1) for n in range(9)],
            "quantity": [1.0] * 9,
            "kind": ["sale"] * 9,
            "line": list(range(9)),
        },
        schema_overrides={"line": pl.Int32},
    )
    last = today + MAX_AHEAD_DAYS - 1
    promotions = pl.DataFrame(
        {"product_id": "tea", "location_id": "north", "kind": "mailer"}
        | {"from_day": [last + 7], "to_day": [last + 28]},
        schema_overrides={"from_day": pl.Int32, "to_day": pl.Int32},
    )
    dataset = Dataset.from_frames("made", {"orders": orders, "promotions": promotions})
    known = build_interactions(dataset, AS_OF)
    places = CustomerLocations.at(dataset, AS_OF, known)
    plan = PromotionPlan.at(dataset, AS_OF, known, places)
    tea = np.zeros(1, np.int64)
    shares = plan.shares(places.codes, places.weights, tea, last)
    assert shares["mailer_next_weeks"].tolist() == [1.0]


def test_what_another_request_forgets_meanwhile_is_answered_all_the_same():
    class Forgetful(dict):
        def __setitem__(self, key, value):
            pass

    stretches = PromotionPeriods.of(
        np.array([1]), np.array([100]), np.array([107]), np.ones(1, np.float32), 1, 2
    )
    plan = PromotionPlan({"display": stretches}, 1, 2, Forgetful())
    tea, here = np.array([1]), np.zeros((1, 1), np.int64)
    shares = plan.shares(here, np.ones((1, 1), np.float32), tea, 100)
    assert shares["display_this_week"].tolist() == [1.0]
    assert shares["display_chain"].tolist() == [1.0]


def test_usual_places_are_those_of_past_baskets(journey):
    known = interactions_at(journey, AS_OF)
    places = CustomerLocations.at(journey, AS_OF, known)
    orders = journey.known("orders", AS_OF).to_native().collect()
    of = orders.filter(pl.col("customer_id") == str(known.customers[5]))
    mine = set(of.get_column("location_id"))
    codes = places.codes[5][places.codes[5] >= 0]
    assert {str(places.ids[code]) for code in codes} <= mine
    assert places.weights[5].sum() == pytest.approx(1.0)
