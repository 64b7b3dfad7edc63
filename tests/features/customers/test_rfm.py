"""RFM segments."""

from datetime import datetime

import polars as pl
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.customers.rfm import RFM_SEGMENTS, Rfm

AS_OF = datetime(2017, 9, 4)


def segments_of(dataset, as_of=AS_OF):
    frame = customers(dataset, as_of)
    features = frame.collect().to_polars().sort("customer_id")
    return features.select("customer_id").hstack(Rfm.fit(frame).segments(features))


def test_every_customer_has_one_row_with_known_names(journey):
    segmented = segments_of(journey)
    known = customers(journey, AS_OF).collect().to_polars().get_column("customer_id").sort()
    assert segmented.get_column("customer_id").equals(known)
    names = {name for row in RFM_SEGMENTS.values() for name in row}
    assert set(segmented.get_column("rfm_segment")) <= names


def test_each_score_holds_about_a_fifth_of_all_customers(journey):
    recent = segments_of(journey).get_column("rfm_score") // 100
    share = recent.value_counts(normalize=True).get_column("proportion")
    assert share.min() > 0.1
    assert share.max() < 0.3


def test_high_scores_are_champions_and_low_scores_lost():
    rfm = Rfm((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4))
    extremes = pl.DataFrame(
        {"recency": [0.0, 9.0], "visits": [9.0, 1.0], "spend_per_visit": [1.0, 1.0]}
    )
    assert rfm.segments(extremes).rows() == [("champion", 555), ("lost", 111)]


def test_without_money_the_frequency_score_replaces_the_money_score():
    rfm = Rfm((1, 2, 3, 4), (1, 2, 3, 4), ())
    frame = pl.DataFrame({"recency": [3.0], "visits": [3.0]})
    assert rfm.segments(frame)["rfm_score"].item() == 333


def test_orders_at_or_after_as_of_do_not_change_segments(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    changed = pl.concat(
        [
            orders.filter(~future),
            orders.filter(future, pl.col("line") % 2 == 0).with_columns(pl.col("revenue") * 9),
            orders.filter(future).with_columns(pl.lit("someone").alias("customer_id")),
        ]
    )
    other = segments_of(rewritten(journey, orders=changed))
    assert_frame_equal(other, segments_of(journey), check_exact=True)


def test_doubling_all_money_does_not_change_segments(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    doubled = orders.with_columns(pl.col("revenue", "discount") * 2)
    other = segments_of(rewritten(journey, orders=doubled))
    assert_frame_equal(other, segments_of(journey), check_exact=True)
