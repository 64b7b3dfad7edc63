"""Lifecycle stages and RFM segments."""

from datetime import datetime

import narwhals as nw
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.customers.builder import customers
from features.customers.segments import RFM_SEGMENTS, Rfm, segments
from features.dataset import Dataset

AS_OF = datetime(2017, 9, 4)
TODAY = to_day(AS_OF)


def segments_of(dataset, as_of=AS_OF):
    return segments(dataset, as_of).collect().to_polars().sort("customer_id")


def stage_of(*ages):
    """Return the stage of a customer with visits so many days before AS_OF, horizon 28."""
    days = [TODAY - age for age in ages]
    orders = pl.DataFrame(
        {
            "customer_id": ["a"] * len(days),
            "order_id": [str(k) for k in range(len(days))],
            "line": pl.Series([0] * len(days), dtype=pl.Int32),
            "ts": [day_start(day) for day in days],
            "quantity": [1.0] * len(days),
            "kind": ["sale"] * len(days),
        }
    )
    return segments_of(Dataset.from_frames("shop", {"orders": orders})).item(0, "stage")


WEEKLY = range(3, 200, 7)


def test_the_first_visits_make_a_customer_new():
    assert stage_of(5) == "new"
    assert stage_of(5, 30) == "new"


def test_one_visit_long_ago_is_slipping_or_lapsed():
    assert stage_of(57) == "lapsed"
    assert stage_of(40, 57) == "slipping"


def test_a_recent_customer_with_regular_visits_is_growing():
    assert stage_of(*range(3, 90, 7)) == "growing"


def test_a_long_term_customer_with_regular_visits_is_loyal():
    assert stage_of(*WEEKLY) == "loyal"


def test_a_long_term_customer_with_more_frequent_visits_is_growing():
    assert stage_of(*range(1, 28, 3), *range(28, 200, 7)) == "growing"


def test_inactivity_longer_than_usual_is_slipping_and_twice_as_long_lapsed():
    assert stage_of(*range(10, 200, 7)) == "slipping"
    assert stage_of(*range(20, 200, 7)) == "lapsed"


def test_a_return_after_long_inactivity_is_won_back_for_twelve_weeks():
    before = range(100, 300, 7)
    assert stage_of(3, 10, *before) == "won back"
    assert stage_of(*range(3, 88, 7), *range(160, 300, 7)) == "loyal"


def test_a_customer_with_two_visits_a_year_is_not_won_back():
    assert stage_of(20, 200, 380, 560) == "loyal"


def test_every_customer_has_one_row_with_known_names(journey):
    segmented = segments_of(journey)
    known = customers(journey, AS_OF).collect().to_polars().get_column("customer_id").sort()
    assert segmented.get_column("customer_id").equals(known)
    stages = {"new", "growing", "loyal", "slipping", "lapsed", "won back"}
    assert set(segmented.get_column("stage")) <= stages
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
    segmented = rfm.with_segments(nw.from_native(extremes).lazy()).collect().to_polars()
    assert segmented.select("rfm_segment", "rfm_score").rows() == [("champion", 555), ("lost", 111)]


def test_without_money_the_frequency_score_replaces_the_money_score():
    rfm = Rfm((1, 2, 3, 4), (1, 2, 3, 4), ())
    frame = pl.DataFrame({"recency": [3.0], "visits": [3.0]})
    assert rfm.with_segments(nw.from_native(frame).lazy()).collect()["rfm_score"].item() == 333


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


@pytest.mark.parametrize("horizon_days", [28, 90])
def test_stages_only_worsen_as_inactivity_grows(horizon_days):
    orders = pl.DataFrame(
        {
            "customer_id": ["a"] * 20,
            "order_id": [str(k) for k in range(20)],
            "line": pl.Series([0] * 20, dtype=pl.Int32),
            "ts": [day_start(TODAY - 10 * k) for k in range(1, 21)],
            "quantity": [1.0] * 20,
            "kind": ["sale"] * 20,
        }
    )
    shop = Dataset.from_frames("shop", {"orders": orders})
    stages = [
        segments(shop, day_start(TODAY + ahead), horizon_days).collect().to_polars()["stage"][0]
        for ahead in range(0, 40, 5)
    ]
    order = {"loyal": 0, "growing": 0, "slipping": 1, "lapsed": 2}
    ranks = [order[stage] for stage in stages]
    assert ranks == sorted(ranks)
    assert ranks[-1] == 2
