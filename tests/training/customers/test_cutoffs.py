"""Cutoffs: their days and features, follow-up, labels, censoring and selection."""

from datetime import datetime

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from training.customers.cutoffs import (
    Cutoff,
    customer_features,
    cutoff_days,
    days_to_next,
    features_at_cutoff,
    past_cutoffs,
)

AS_OF = datetime(2017, 12, 4)


def test_features_at_a_cutoff_are_those_of_that_instant(journey, rewritten):
    copy = rewritten(journey)
    cutoff = to_day(AS_OF) - 42
    expected = customer_features(copy, day_start(cutoff))
    features = features_at_cutoff(rewritten(journey), AS_OF, cutoff)
    assert_frame_equal(features, expected, check_exact=True)


def test_follow_up_of_all_cutoffs_ends_by_as_of(journey):
    days = cutoff_days(journey, AS_OF, latest=28, step=14, count=10, history=28)
    assert max(days) + 28 == to_day(AS_OF)
    assert np.diff(days).tolist() == [-14] * 9


def test_days_to_next_read_nothing_from_as_of_on(journey):
    ids = customer_features(journey, AS_OF).get_column("customer_id")
    cutoff = to_day(AS_OF) - 10
    days = days_to_next(journey, AS_OF, cutoff, ids).drop_nulls()
    assert days.min() >= 0
    assert days.max() < 10


def test_follow_up_lasts_one_horizon_or_until_as_of(journey):
    cutoffs = past_cutoffs(journey, datetime(2017, 11, 6), 56, step=14, count=6)
    assert [cutoff.follow_up_days for cutoff in cutoffs] == [14, 28, 42, 56, 56, 56]
    for cutoff in cutoffs:
        assert cutoff.days_to_purchase[~cutoff.purchased].tolist() == [cutoff.follow_up_days] * int(
            (~cutoff.purchased).sum()
        )
        assert cutoff.days_to_purchase[cutoff.purchased].max() < cutoff.follow_up_days


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
