"""Demand features: what they read, and their values on known sales."""

from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.grain import Grain
from features.demand.series import all_series
from features.errors import InvalidInput, MissingData

AS_OF = datetime(2017, 10, 9)
WEEKLY = Grain.parse("product:week")
DAY = 17_000


def collected(frame):
    return frame.collect().to_polars()


def at(day):
    return datetime(1970, 1, 1) + np.timedelta64(int(day), "D").astype(object)


@pytest.mark.parametrize("text", ["product:week", "location:week", "department:day"])
def test_orders_at_or_after_as_of_do_not_change_features(journey, rewritten, text):
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
    assert not before["trend_fast"].equals(after["trend_fast"])


def test_promotions_after_as_of_are_read(journey, rewritten):
    last = pl.col("from_day") < to_day(AS_OF)
    earlier = journey.table("promotions").to_native().filter(last)
    planned = "promotion_planned_any"
    full = collected(demand(journey, WEEKLY, AS_OF, 56))
    short = collected(demand(rewritten(journey, promotions=earlier), WEEKLY, AS_OF, 56))
    assert full[planned].is_not_nan().all()
    assert full[planned].sum() > short[planned].fill_nan(0).sum()


def test_rows_are_series_by_period_in_order(journey):
    frame = collected(demand(journey, WEEKLY, AS_OF, 28))
    assert frame.height == 4 * frame["product_id"].n_unique()
    assert frame.select("product_id", "step").equals(frame.select("product_id", "step").sort("*"))


def test_periods_are_counted_from_as_of(shop):
    frame = collected(demand(shop([("a", "1", DAY, 1.0)]), WEEKLY, at(DAY + 3), 14))
    assert frame["day"].to_list() == [DAY + 3, DAY + 10]


def test_only_the_given_series_have_rows(journey):
    selected = collected(all_series(journey, WEEKLY).index).select("product_id").head(3)
    frame = collected(demand(journey, WEEKLY, AS_OF, 7, selected))
    assert set(frame["product_id"]) <= set(selected["product_id"])


def test_features_of_a_series_do_not_depend_on_the_other_series(journey):
    complete = collected(demand(journey, WEEKLY, AS_OF, 14))
    selected = complete.select("product_id").unique().sort("product_id").head(50)
    part = collected(demand(journey, WEEKLY, AS_OF, 14, selected))
    expected = complete.join(selected, on="product_id", how="semi", maintain_order="left")
    assert_frame_equal(part, expected, check_exact=True)


def test_the_level_of_constant_sales_is_their_rate(shop):
    rows = [("a", "1", DAY + k, 3.0) for k in range(70)]
    frame = collected(demand(shop(rows), WEEKLY, at(DAY + 70), 7))
    assert frame["level_now"].to_list() == pytest.approx([21.0])
    assert frame["trend_mean_8"].to_list() == pytest.approx([1.0])


def test_weekday_means_are_those_of_the_weekday(shop):
    saturdays = [("a", "1", DAY + k, 7.0 if k % 7 == 5 else 1.0) for k in range(140)]
    grain = Grain.parse("product,location:day")
    frame = collected(demand(shop(saturdays), grain, at(DAY + 140), 7))
    means = frame["season_day_fast"] * frame["level_now"]
    assert means.to_list() == pytest.approx([1, 1, 1, 1, 1, 7, 1])


def test_sales_and_order_lines_give_the_same_features(shop):
    rows = [("a", "1", DAY + k, float(k % 3)) for k in range(60)]
    sales = shop(rows)
    lines = pl.DataFrame(
        rows, schema=["product_id", "location_id", "day", "quantity"], orient="row"
    )
    orders = lines.filter(pl.col("quantity") > 0).with_columns(
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


def test_a_pandas_frame_gives_the_same_features(shop):
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


def test_a_promotion_at_one_location_does_not_cover_another(shop):
    rows = [("a", location, DAY - 30, 1.0) for location in "12"]
    dataset = shop(rows, promotions=[("a", "1", "mailer", DAY, DAY + 7)])
    frame = collected(demand(dataset, Grain.parse("product,location:week"), at(DAY), 7))
    assert frame["promotion_planned_mailer"].fill_nan(None).to_list() == [1.0, None]


def test_a_promotion_that_doubles_sales_has_an_effect(shop):
    promoted = [DAY + 7 * week for week in range(20) if week % 3 == 0]
    plan = [("a", "1", "mailer", day, day + 7) for day in promoted]
    rows = [("a", "1", DAY + k, 2.0 if DAY + k - k % 7 in promoted else 1.0) for k in range(140)]
    frame = collected(demand(shop(rows, promotions=plan), WEEKLY, at(DAY + 140), 7))
    assert frame["promotion_effect_mailer"][0] > 0.5


def test_a_planned_price_is_relative_to_the_recent_mean(shop):
    prices = [("a", "1", DAY, 10.0), ("a", "1", DAY + 77, 8.0)]
    rows = [("a", "1", DAY + k, 1.0) for k in range(70)]
    frame = collected(demand(shop(rows, prices=prices), WEEKLY, at(DAY + 70), 14))
    assert frame["price_relative"].to_list() == pytest.approx([1.0, 0.8])


def test_a_horizon_that_splits_a_week_is_refused(journey):
    with pytest.raises(InvalidInput, match="multiple of 7"):
        demand(journey, WEEKLY, AS_OF, 10)


def test_a_grain_with_a_missing_column_is_refused_by_table_and_column(shop):
    with pytest.raises(MissingData, match="category") as caught:
        demand(shop([("a", "1", DAY, 1.0)]), Grain.parse("category:week"), at(DAY + 7), 7)
    assert caught.value.field == "products.category"


def test_features_are_a_lazy_frame(journey):
    assert isinstance(demand(journey, Grain.parse("department:day"), AS_OF, 7), nw.LazyFrame)


def test_coarse_keys_and_attributes_of_locations_are_categories():
    sales = [(p, str(shop), DAY + d, 1.0) for p in "ab" for shop in range(4) for d in range(60)]
    schema = {"product_id": pl.String, "location_id": pl.String, "day": pl.Int32}
    shops = Dataset.from_frames(
        "shops",
        {
            "sales": pl.DataFrame(sales, {**schema, "quantity": pl.Float64}, orient="row"),
            "locations": pl.DataFrame(
                {
                    "location_id": ["0", "1", "2", "3"],
                    "format": ["small", "small", "large", "large"],
                    "name": ["north", "east", "south", "west"],
                }
            ),
        },
    )
    frame = collected(demand(shops, Grain.parse("product,location:day"), at(DAY + 60), 1))
    groups = [name for name in frame.columns if name.startswith("group_")]
    assert groups == ["group_format", "group_location_id"]
    assert frame.filter(location_id="2")["group_format"].to_list() == ["large", "large"]
