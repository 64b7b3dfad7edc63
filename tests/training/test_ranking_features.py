"""What the ranker is told of customers and products, on histories small enough to check by hand."""

import numpy as np
import pytest

from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.ranking.features import fresh_takers, ranks


def histories(newest: int) -> Interactions:
    """Three customers; the first two came `newest` days ago, both for tea, the third before."""
    ago = np.array([newest, newest + 5, newest, newest + 2, newest + 9], np.float32)
    return Interactions(
        customers=np.array(["a", "b", "c"]),
        products=np.array(["milk", "tea"]),
        rows=np.array([0, 0, 1, 2, 2]),
        cols=np.array([1, 0, 1, 0, 1]),
        pairs={
            "recency_days": ago,
            "recency_baskets": np.array([0, 3, 0, 0, 1], np.float32),
        },
        customer={"customer_recency_days": np.array([newest, newest, newest + 2], np.float32)},
        product={},
    )


@pytest.mark.parametrize("newest", [1, 4])
def test_takers_are_counted_from_the_last_day_of_sales(newest):
    found = fresh_takers(histories(newest))
    # Two on the last day, three within three days, and 20 more who would take nothing.
    assert found["product_takers_1d"].tolist() == pytest.approx([0.0, 2000 / 22])
    assert found["product_takers_3d"].tolist() == pytest.approx([1000 / 23, 2000 / 23])


def test_a_day_that_has_only_begun_is_taken_with_the_day_before():
    found = fresh_takers(histories(0))
    assert found["product_takers_1d"].tolist() == pytest.approx([0.0, 2000 / 22])
    begun = histories(0)
    begun.customer_features["customer_recency_days"][2] = 1
    begun.features["recency_days"][3] = 1
    assert fresh_takers(begun)["product_takers_1d"].tolist() == pytest.approx(
        [1000 / 23, 2000 / 23]
    )


def test_takers_in_last_baskets_are_of_all_customers():
    takers = fresh_takers(histories(1))["product_takers_last"]
    assert takers.tolist() == pytest.approx([1000 / 23, 2000 / 23])


def test_a_shop_without_customers_has_no_takers():
    nobody = Interactions(
        customers=np.array([], str),
        products=np.array(["milk"]),
        rows=np.zeros(0, np.int64),
        cols=np.zeros(0, np.int64),
        pairs={"recency_days": np.zeros(0), "recency_baskets": np.zeros(0)},
        customer={"customer_recency_days": np.zeros(0, np.float32)},
        product={},
    )
    assert all(takers.tolist() == [0.0] for takers in fresh_takers(nobody).values())


def test_ranks_are_each_customers_own_and_ties_keep_their_order():
    rows = np.array([3, 3, 3, 8, 8])
    scores = np.array([1, np.nan, 1, 0, 2], np.float32)
    assert ranks(rows, scores).tolist() == [0, 2, 1, 1, 0]
