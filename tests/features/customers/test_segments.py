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
    """The stage of one customer who came so many days before AS_OF, horizon 28."""
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
    return segments_of(Dataset.from_frames("one", {"orders": orders})).item(0, "stage")


WEEKLY = range(3, 200, 7)


def test_the_first_visits_make_a_customer_new():
    assert stage_of(5) == "new"
    assert stage_of(5, 30) == "new"


def test_who_came_once_and_long_ago_is_not_new_but_slips_and_lapses():
    assert stage_of(57) == "lapsed"
    assert stage_of(40, 57) == "slipping"


def test_a_young_customer_who_keeps_coming_grows():
    assert stage_of(*range(3, 90, 7)) == "growing"


def test_an_old_customer_who_comes_as_always_is_loyal():
    assert stage_of(*WEEKLY) == "loyal"


def test_an_old_customer_who_comes_more_often_grows():
    assert stage_of(*range(1, 28, 3), *range(28, 200, 7)) == "growing"


def test_a_silence_longer_than_usual_slips_and_one_twice_as_long_lapses():
    assert stage_of(*range(10, 200, 7)) == "slipping"
    assert stage_of(*range(20, 200, 7)) == "lapsed"


def test_who_came_back_after_a_long_silence_is_won_back_for_twelve_weeks():
    before = range(100, 300, 7)
    assert stage_of(3, 10, *before) == "won back"
    assert stage_of(*range(3, 88, 7), *range(160, 300, 7)) == "loyal"


def test_who_always_comes_twice_a_year_was_not_away():
    assert stage_of(20, 200, 380, 560) == "loyal"


def test_every_customer_has_one_row_with_names_from_the_tables(journey):
    found = segments_of(journey)
    known = customers(journey, AS_OF).collect().to_polars().get_column("customer_id").sort()
    assert found.get_column("customer_id").equals(known)
    stages = {"new", "growing", "loyal", "slipping", "lapsed", "won back"}
    assert set(found.get_column("stage")) <= stages
    names = {name for row in RFM_SEGMENTS.values() for name in row}
    assert set(found.get_column("rfm_segment")) <= names


def test_each_score_holds_about_a_fifth_of_all_customers(journey):
    recent = segments_of(journey).get_column("rfm_score") // 100
    share = recent.value_counts(normalize=True).get_column("proportion")
    assert share.min() > 0.1
    assert share.max() < 0.3


def test_recent_frequent_and_generous_is_a_champion_and_the_opposite_is_lost():
    rfm = Rfm((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4))
    ends = pl.DataFrame(
        {"recency": [0.0, 9.0], "visits": [9.0, 1.0], "spend_per_visit": [1.0, 1.0]}
    )
    found = rfm.name(nw.from_native(ends).lazy()).collect().to_polars()
    assert found.select("rfm_segment", "rfm_score").rows() == [("champion", 555), ("lost", 111)]


def test_without_money_frequency_stands_for_it():
    rfm = Rfm((1, 2, 3, 4), (1, 2, 3, 4), ())
    one = pl.DataFrame({"recency": [3.0], "visits": [3.0]})
    assert rfm.name(nw.from_native(one).lazy()).collect()["rfm_score"].item() == 333


def test_orders_at_or_after_as_of_move_nothing(journey, rewritten):
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


def test_doubling_all_money_moves_nobody(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    doubled = orders.with_columns(pl.col("revenue", "discount") * 2)
    other = segments_of(rewritten(journey, orders=doubled))
    assert_frame_equal(other, segments_of(journey), check_exact=True)


@pytest.mark.parametrize("horizon_days", [28, 90])
def test_a_customer_slips_before_lapsing_as_silence_grows(horizon_days):
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
    shop = Dataset.from_frames("one", {"orders": orders})
    seen = [
        segments(shop, day_start(TODAY + ahead), horizon_days).collect().to_polars()["stage"][0]
        for ahead in range(0, 40, 5)
    ]
    order = {"loyal": 0, "growing": 0, "slipping": 1, "lapsed": 2}
    ranks = [order[stage] for stage in seen]
    assert ranks == sorted(ranks)
    assert ranks[-1] == 2
