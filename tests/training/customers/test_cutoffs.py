"""Cutoffs with follow-up: labels, censoring and selection."""

import numpy as np
import polars as pl

from training.customers.cutoffs import Cutoff


def test_a_follow_up_that_ends_earlier_censors_later_purchases():
    frame = pl.DataFrame({"customer_id": ["a", "b", "c", "d"]})
    purchased = np.array([True, True, True, False])
    cutoff = Cutoff(100, frame, np.array([3, 10, 27, 28]), purchased, 28)
    assert cutoff.churned(28).tolist() == [0, 0, 0, 1]
    assert cutoff.churned(14).tolist() == [0, 0, 1, 1]
    early = cutoff.censored_at(110)
    assert early.follow_up_days == 10
    assert early.days_to_purchase.tolist() == [3, 10, 10, 10]
    assert early.purchased.tolist() == [True, False, False, False]
    assert early.churned(10).tolist() == [0, 1, 1, 1]
    assert cutoff.censored_at(90).follow_up_days == 0
    assert cutoff.select(early.purchased).features.get_column("customer_id").to_list() == ["a"]
