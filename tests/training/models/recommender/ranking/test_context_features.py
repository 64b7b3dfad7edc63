"""State after further days, need of recent purchases, and repurchase hazards."""

import numpy as np
import pytest

from training.models.recommender.ranking.context_features import (
    INTERVAL_ENDS,
    RepurchaseHazards,
    advance_days,
    remaining_need,
)


def test_days_without_purchases_change_elapsed_days_and_decayed_counts():
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


def test_need_is_restored_once_the_product_is_used_up_by_the_next_basket():
    state = {
        "gap_mean": np.array([3, 40, np.nan], np.float32),
        "product_gap": np.array([9, 9, 80], np.float32),
        "customer_cadence": np.full(3, 4, np.float32),
    }
    just_now = np.zeros(3, np.float32)
    assert remaining_need(state, just_now).tolist() == pytest.approx([1.0, 0.1, 0.1])
    assert remaining_need(state, just_now + 16).tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert remaining_need(state, just_now * np.nan).tolist() == [1, 1, 1]


def test_need_stays_lowest_for_products_that_no_customer_bought_again():
    # A product without gaps; one bought twice in one day; one whose other buyers have gaps.
    state = {
        "gap_mean": np.array([np.nan, 0, 0], np.float32),
        "product_gap": np.array([0, 0, 3], np.float32),
        "customer_cadence": np.full(3, 4, np.float32),
    }
    just_now = np.zeros(3, np.float32)
    assert remaining_need(state, just_now).tolist() == pytest.approx([0.1, 0.1, 1.0])
    assert remaining_need(state, just_now + 60).tolist() == pytest.approx([0.1, 0.1, 1.0])
    assert remaining_need(state, just_now * np.nan).tolist() == [1, 1, 1]


def test_hazards_are_gaps_that_ended_over_gaps_that_reached_the_interval():
    cols = np.zeros(100, np.int64)
    # Every pair was bought again after ten days, once, and then not for 100 days.
    ended = [np.full(100, float(end >= 10)) for end in INTERVAL_ENDS] + [np.ones(100)]
    hazards = RepurchaseHazards.fit(cols, ended, np.full(100, 100.0), 1)
    first, second, third = hazards.hazard[0, :3]
    assert first == second == 0
    assert third == pytest.approx(0.5, abs=0.02)
