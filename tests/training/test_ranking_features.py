"""What the ranker is told of customers and products, on histories small enough to check by hand."""

import numpy as np
import pytest

from training.models.histories import Histories
from training.models.ranking_features import fresh_shares


def histories(newest: int) -> Histories:
    """Three customers; the first two came `newest` days ago, both for tea, the third before."""
    ago = np.array([newest, newest + 5, newest, newest + 2, newest + 9], np.float32)
    return Histories(
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
def test_shares_of_the_last_days_are_counted_from_the_last_day_of_sales(newest):
    found = fresh_shares(histories(newest))
    assert found["product_share_1d"].tolist() == [0.0, 1.0]
    assert found["product_share_3d"].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_a_day_that_has_only_begun_is_taken_with_the_day_before():
    found = fresh_shares(histories(0))
    assert found["product_share_1d"].tolist() == [0.0, 1.0]
    begun = histories(0)
    begun.customer["customer_recency_days"][2] = 1
    begun.pairs["recency_days"][3] = 1
    assert fresh_shares(begun)["product_share_1d"].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_what_last_baskets_held_is_shared_among_all_customers():
    share = fresh_shares(histories(1))["product_share_last"]
    assert share.tolist() == pytest.approx([1 / 3, 2 / 3])


def test_a_shop_without_customers_has_no_shares():
    nobody = Histories(
        customers=np.array([], str),
        products=np.array(["milk"]),
        rows=np.zeros(0, np.int64),
        cols=np.zeros(0, np.int64),
        pairs={"recency_days": np.zeros(0), "recency_baskets": np.zeros(0)},
        customer={"customer_recency_days": np.zeros(0, np.float32)},
        product={},
    )
    assert all(share.tolist() == [0.0] for share in fresh_shares(nobody).values())
