"""Shares of series and periods on promotion."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.demand.grain import Grain
from features.demand.promotions import promotion_shares

WEEKLY = Grain.parse("product:week")
DAY = 17_000


def collected(frame):
    return frame.collect().to_polars()


def test_shares_count_promoted_location_days(shop):
    plan = [
        ("a", "1", "mailer", DAY, DAY + 7),
        ("a", "2", "mailer", DAY, DAY + 14),
        ("b", "3", "display", DAY + 10, DAY + 12),
        ("b", None, "mailer", DAY + 7, DAY + 14),
    ]
    rows = [(product, "1", DAY - 30, 1.0) for product in "ab"]
    dataset = shop(rows, promotions=plan)
    frame = collected(promotion_shares(dataset, WEEKLY, DAY, DAY + 28)).sort("series", "block")
    # Three locations have promotions.
    assert frame["share_mailer"].to_list() == pytest.approx([2 / 3, 1 / 3, 1.0])
    assert frame["share_display"].to_list() == pytest.approx([0, 0, 2 / 21])


def test_a_location_has_the_promotions_of_its_products_and_of_the_whole_chain(shop):
    plan = [("a", None, "mailer", DAY, DAY + 2), ("b", "1", "mailer", DAY + 1, DAY + 2)]
    dataset = shop([("a", k, DAY - 30, 1.0) for k in "12"], promotions=plan)
    grain = Grain.parse("location:day")
    frame = collected(promotion_shares(dataset, grain, DAY, DAY + 7)).sort("series", "block")
    # Two products have promotions.
    assert frame["series"].to_list() == [0, 0, 1, 1]
    assert frame["share_mailer"].to_list() == pytest.approx([0.5, 1.0, 0.5, 0.5])


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-40, 40), st.integers(1, 60), st.sampled_from(["1", "2", "3"])),
        min_size=1,
        max_size=6,
        unique_by=lambda interval: interval[2],
    ),
    st.sampled_from(["product:day", "product:week"]),
)
def test_shares_equal_a_count_by_day(shop, intervals, text):
    plan = [("a", location, "mailer", DAY + s, DAY + s + n) for s, n, location in intervals]
    dataset = shop([("a", "1", DAY - 60, 1.0), ("a", "1", DAY + 50, 1.0)], promotions=plan)
    grain = Grain.parse(text)
    frame = collected(promotion_shares(dataset, grain, DAY, DAY + 70))
    shares = dict(zip(frame["block"], frame["share_mailer"], strict=True))
    for block in range((DAY - 49) // grain.days, (DAY + 63) // grain.days):
        first = block * grain.days + DAY % grain.days
        promoted = sum(
            from_day <= day < to_day
            for day in range(first, first + grain.days)
            for *_, from_day, to_day in plan
        )
        assert shares.get(block, 0.0) == pytest.approx(promoted / grain.days / len(plan))
