"""Features of products and customers, on interactions small enough to check by hand."""

import numpy as np
import pytest

from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.ranking.entity_features import recent_buyer_rates


def interactions(newest: int) -> Interactions:
    """Three customers: two bought tea `newest` days ago, one milk two days earlier."""
    recency = np.array([newest, newest + 5, newest, newest + 2, newest + 9], np.float32)
    return Interactions(
        customers=np.array(["a", "b", "c"]),
        products=np.array(["milk", "tea"]),
        rows=np.array([0, 0, 1, 2, 2]),
        cols=np.array([1, 0, 1, 0, 1]),
        features={
            "recency_days": recency,
            "recency_baskets": np.array([0, 3, 0, 0, 1], np.float32),
        },
        customer_features={
            "customer_recency_days": np.array([newest, newest, newest + 2], np.float32)
        },
        product_features={},
    )


@pytest.mark.parametrize("newest", [1, 4])
def test_recent_days_are_counted_from_the_last_day_of_sales(newest):
    rates = recent_buyer_rates(interactions(newest))
    # Two customers on the last day, three within three days, and 20 more as a prior.
    assert rates["product_takers_1d"].tolist() == pytest.approx([0.0, 2000 / 22])
    assert rates["product_takers_3d"].tolist() == pytest.approx([1000 / 23, 2000 / 23])


def test_a_day_that_has_only_begun_counts_with_the_day_before():
    rates = recent_buyer_rates(interactions(0))
    assert rates["product_takers_1d"].tolist() == pytest.approx([0.0, 2000 / 22])
    begun = interactions(0)
    begun.customer_features["customer_recency_days"][2] = 1
    begun.features["recency_days"][3] = 1
    rate = recent_buyer_rates(begun)["product_takers_1d"]
    assert rate.tolist() == pytest.approx([1000 / 23, 2000 / 23])


def test_the_rate_of_last_baskets_is_of_all_customers():
    rate = recent_buyer_rates(interactions(1))["product_takers_last"]
    assert rate.tolist() == pytest.approx([1000 / 23, 2000 / 23])


def test_rates_are_zero_without_customers():
    empty = Interactions(
        customers=np.array([], str),
        products=np.array(["milk"]),
        rows=np.zeros(0, np.int64),
        cols=np.zeros(0, np.int64),
        features={"recency_days": np.zeros(0), "recency_baskets": np.zeros(0)},
        customer_features={"customer_recency_days": np.zeros(0, np.float32)},
        product_features={},
    )
    assert all(rate.tolist() == [0.0] for rate in recent_buyer_rates(empty).values())
