"""What demand features know, what they do not, and how they count."""

from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.calendar_features import season
from features.demand.grain import Grain
from features.demand.promotions import promotion_shares
from features.demand.series import all_series, steady_series, units_matrix
from features.errors import InvalidInput, MissingData

AS_OF = datetime(2017, 10, 9)
WEEKLY = Grain.parse("product:week")
DAY = 17_000


def collected(frame):
    return frame.collect().to_polars()


def shop(rows, promotions=None, prices=None):
    """Build a dataset from (product, location, day, quantity) rows."""
    columns = ["product_id", "location_id", "day", "quantity"]
    schema = {"product_id": pl.String, "location_id": pl.String, "day": pl.Int32}
    sales = pl.DataFrame(rows, schema={**schema, "quantity": pl.Float64}, orient="row")
    frames = {"sales": sales.select(columns)}
    if promotions is not None:
        names = ["product_id", "location_id", "kind", "from_day", "to_day"]
        types = [pl.String, pl.String, pl.String, pl.Int32, pl.Int32]
        frames["promotions"] = pl.DataFrame(
            promotions, schema=dict(zip(names, types, strict=True)), orient="row"
        )
    if prices is not None:
        names = ["product_id", "location_id", "from_day", "price"]
        types = [pl.String, pl.String, pl.Int32, pl.Float64]
        frames["prices"] = pl.DataFrame(
            prices, schema=dict(zip(names, types, strict=True)), orient="row"
        )
    return Dataset.from_frames("shop", frames)


def at(day):
    return datetime(1970, 1, 1) + np.timedelta64(int(day), "D").astype(object)


@pytest.mark.parametrize("text", ["product:week", "location:week", "department:day"])
def test_orders_at_or_after_as_of_do_not_move_features_by_one_bit(journey, rewritten, text):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    added = orders.filter(future).with_columns(
        pl.col("order_id") + "x", product_id=pl.lit("000 new"), quantity=pl.lit(5.0)
    )
    changed = pl.when(future).then(pl.col("quantity") * 3.7).otherwise("quantity")
    removed = orders.with_columns(changed.alias("quantity")).filter(
        ~future | (pl.col("line") % 2 == 0)
    )
    other = rewritten(journey, orders=pl.concat([added, removed]).sample(fraction=1, shuffle=True))
    grain = Grain.parse(text)
    assert_frame_equal(
        collected(demand(other, grain, AS_OF, 14)),
        collected(demand(journey, grain, AS_OF, 14)),
        check_exact=True,
    )


def test_orders_of_the_day_before_as_of_do_count(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    without = orders.filter(pl.col("day") != to_day(AS_OF) - 1)
    grain = Grain.parse("department:day")
    before = collected(demand(journey, grain, AS_OF, 7))
    after = collected(demand(rewritten(journey, orders=without), grain, AS_OF, 7))
    assert not before["trend_last_1"].equals(after["trend_last_1"])


def test_the_plan_after_as_of_is_known(journey, rewritten):
    last = pl.col("from_day") < to_day(AS_OF)
    cut = journey.table("promotions").to_native().filter(last)
    planned = "promotion_planned_any"
    full = collected(demand(journey, WEEKLY, AS_OF, 56))
    short = collected(demand(rewritten(journey, promotions=cut), WEEKLY, AS_OF, 56))
    assert full[planned].sum() > short[planned].sum()


def test_there_is_a_row_for_each_series_and_period_in_order(journey):
    frame = collected(demand(journey, WEEKLY, AS_OF, 28))
    assert frame.height == 4 * frame["product_id"].n_unique()
    assert frame.select("product_id", "step").equals(frame.select("product_id", "step").sort("*"))


def test_periods_are_counted_from_as_of():
    frame = collected(demand(shop([("a", "1", DAY, 1.0)]), WEEKLY, at(DAY + 3), 14))
    assert frame["day"].to_list() == [DAY + 3, DAY + 10]


def test_only_the_series_asked_for_are_described(journey):
    wanted = collected(all_series(journey, WEEKLY).index).select("product_id").head(3)
    frame = collected(demand(journey, WEEKLY, AS_OF, 7, wanted))
    assert set(frame["product_id"]) <= set(wanted["product_id"])


def test_a_part_of_the_series_is_described_as_it_is_among_all(journey):
    everything = collected(demand(journey, WEEKLY, AS_OF, 14))
    wanted = everything.select("product_id").unique().sort("product_id").head(50)
    part = collected(demand(journey, WEEKLY, AS_OF, 14, wanted))
    expected = everything.join(wanted, on="product_id", how="semi", maintain_order="left")
    assert_frame_equal(part, expected, check_exact=True)


def test_a_steady_seller_has_its_rate_as_level():
    rows = [("a", "1", DAY + k, 3.0) for k in range(70)]
    frame = collected(demand(shop(rows), WEEKLY, at(DAY + 70), 7))
    assert frame["level_now"].to_list() == pytest.approx([21.0])
    assert frame["trend_mean_8"].to_list() == pytest.approx([1.0])


def test_a_weekday_is_described_by_its_own_past():
    saturdays = [("a", "1", DAY + k, 7.0 if k % 7 == 5 else 1.0) for k in range(140)]
    grain = Grain.parse("product,location:day")
    frame = collected(demand(shop(saturdays), grain, at(DAY + 140), 7))
    own = frame["season_day_fast"] * frame["level_now"]
    assert own.to_list() == pytest.approx([1, 1, 1, 1, 1, 7, 1])


def test_ready_sales_and_order_lines_give_the_same_features():
    rows = [("a", "1", DAY + k, float(k % 3)) for k in range(60)]
    sales = shop(rows)
    lines = pl.DataFrame(
        rows, schema=["product_id", "location_id", "day", "quantity"], orient="row"
    )
    orders = lines.with_columns(
        pl.col("day").cast(pl.Int32),
        order_id=pl.col("day").cast(pl.String),
        line=pl.lit(0, dtype=pl.Int32),
        ts=pl.from_epoch(pl.col("day"), time_unit="d").cast(pl.Datetime("us")),
        kind=pl.lit("sale"),
    )
    other = Dataset.from_frames("orders", {"orders": orders})
    assert_frame_equal(
        collected(demand(other, WEEKLY, at(DAY + 60), 14)),
        collected(demand(sales, WEEKLY, at(DAY + 60), 14)),
        check_exact=True,
    )


def test_returns_are_no_demand():
    orders = pl.DataFrame(
        {
            "order_id": ["1", "2"],
            "line": [0, 0],
            "product_id": ["a", "b"],
            "ts": [datetime(2017, 1, 1), datetime(2017, 1, 1)],
            "quantity": [1.0, 1.0],
            "kind": ["sale", "return"],
        }
    )
    index = all_series(Dataset.from_frames("x", {"orders": orders}), WEEKLY).index
    assert collected(index)["product_id"].to_list() == ["a"]


def test_a_pandas_frame_gives_the_same_features():
    rows = [(p, "1", DAY + k, float(k % 3)) for k in range(60) for p in ("a", "b")]
    polars = shop(rows)
    pandas = Dataset.from_frames(
        "pandas", {"sales": polars.table("sales").to_native().collect().to_pandas()}
    )
    assert_frame_equal(
        collected(demand(pandas, WEEKLY, at(DAY + 60), 14)),
        collected(demand(polars, WEEKLY, at(DAY + 60), 14)),
        check_exact=True,
        check_dtypes=False,
    )


def test_a_promotion_covers_the_days_and_locations_that_it_says():
    plan = [
        ("a", "1", "mailer", DAY, DAY + 7),
        ("a", "2", "mailer", DAY, DAY + 14),
        ("b", "3", "display", DAY + 10, DAY + 12),
        ("b", None, "mailer", DAY + 7, DAY + 14),
    ]
    rows = [(product, "1", DAY - 30, 1.0) for product in "ab"]
    dataset = shop(rows, promotions=plan)
    frame = collected(promotion_shares(dataset, WEEKLY, DAY, DAY + 28)).sort("series", "block")
    # Three locations appear in the plan.
    assert frame["share_mailer"].to_list() == pytest.approx([2 / 3, 1 / 3, 1.0])
    assert frame["share_display"].to_list() == pytest.approx([0, 0, 2 / 21])


def test_a_promotion_at_one_location_is_none_at_another():
    rows = [("a", location, DAY - 30, 1.0) for location in "12"]
    dataset = shop(rows, promotions=[("a", "1", "mailer", DAY, DAY + 7)])
    frame = collected(demand(dataset, Grain.parse("product,location:week"), at(DAY), 7))
    assert frame["promotion_planned_mailer"].to_list() == [1.0, 0.0]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-40, 40), st.integers(1, 60), st.sampled_from(["1", "2", "3"])),
        min_size=1,
        max_size=6,
        unique_by=lambda stretch: stretch[2],
    ),
    st.sampled_from(["product:day", "product:week"]),
)
def test_shares_agree_with_counting_day_by_day(stretches, text):
    plan = [("a", where, "mailer", DAY + s, DAY + s + n) for s, n, where in stretches]
    dataset = shop([("a", "1", DAY - 60, 1.0), ("a", "1", DAY + 50, 1.0)], promotions=plan)
    grain = Grain.parse(text)
    frame = collected(promotion_shares(dataset, grain, DAY, DAY + 70))
    found = dict(zip(frame["block"], frame["share_mailer"], strict=True))
    for block in range((DAY - 49) // grain.days, (DAY + 63) // grain.days):
        first = block * grain.days + DAY % grain.days
        promoted = sum(
            from_day <= day < to_day
            for day in range(first, first + grain.days)
            for *_, from_day, to_day in plan
        )
        assert found.get(block, 0.0) == pytest.approx(promoted / grain.days / len(plan))


def test_a_promotion_that_doubled_sales_has_twice_the_mean_of_the_rest():
    promoted = [DAY + 7 * week for week in range(20) if week % 3 == 0]
    plan = [("a", "1", "mailer", day, day + 7) for day in promoted]
    rows = [("a", "1", DAY + k, 2.0 if DAY + k - k % 7 in promoted else 1.0) for k in range(140)]
    frame = collected(demand(shop(rows, promotions=plan), WEEKLY, at(DAY + 140), 7))
    ratio = frame["promotion_mean_with"] / frame["promotion_mean_without"]
    assert 1.7 < ratio[0] < 2.1
    assert frame["promotion_effect_mailer"][0] > 0.5


def test_a_planned_price_is_compared_with_the_usual_one():
    prices = [("a", "1", DAY, 10.0), ("a", "1", DAY + 77, 8.0)]
    rows = [("a", "1", DAY + k, 1.0) for k in range(70)]
    frame = collected(demand(shop(rows, prices=prices), WEEKLY, at(DAY + 70), 14))
    assert frame["price_relative"].to_list() == pytest.approx([1.0, 0.8])


def test_the_next_holiday_is_counted_from_the_first_day_of_the_period():
    christmas = to_day("2017-12-25")
    frame = season([christmas - 3, christmas, christmas + 1], 7, "US")
    assert frame["to_holiday"].to_list() == [3, 0, 6]
    assert frame["since_holiday"].to_list()[2] == 1


def test_a_country_without_known_holidays_is_refused():
    with pytest.raises(InvalidInput, match="'XX'") as caught:
        season([DAY], 7, "XX")
    assert caught.value.field == "country"


def test_steady_series_sell_at_least_once_a_period_on_average():
    rows = [("often", "1", DAY + k, 1.0) for k in range(196)]
    rows += [("seldom", "1", DAY + 5, 1.0)]
    steady = collected(steady_series(shop(rows), WEEKLY, DAY + 196))
    assert steady["product_id"].to_list() == ["often"]


def test_what_sold_is_laid_out_by_series_and_period():
    rows = [("a", "1", DAY, 2.0), ("a", "1", DAY + 8, 3.0), ("b", "1", DAY + 1, 1.0)]
    series = pl.DataFrame({"product_id": ["b", "a", "c"]})
    found = units_matrix(shop(rows), WEEKLY, DAY, 2, series)
    assert found.tolist() == [[1, 0], [2, 3], [0, 0]]


def test_a_horizon_that_splits_a_week_is_refused(journey):
    with pytest.raises(InvalidInput, match="multiple of 7"):
        demand(journey, WEEKLY, AS_OF, 10)


def test_a_grain_that_the_records_cannot_give_is_refused_by_table_and_column():
    with pytest.raises(MissingData, match="category") as caught:
        demand(shop([("a", "1", DAY, 1.0)]), Grain.parse("category:week"), at(DAY + 7), 7)
    assert caught.value.field == "products.category"


def test_the_frame_is_lazy(journey):
    assert isinstance(demand(journey, Grain.parse("department:day"), AS_OF, 7), nw.LazyFrame)
