"""Which values of plans, covariates and stock reach the demand features."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.demand.builder import PREFIXES, demand
from features.demand.grain import Grain

FIRST, DAYS = 17_000, 200
DAY = FIRST + 140
AS_OF = datetime(1970, 1, 1) + timedelta(days=DAY)
BY_SHOP = Grain.parse("product,location:day")
WEEKLY = Grain.parse("product:week")


@pytest.fixture(scope="module")
def sales():
    rng = np.random.default_rng(3)
    product, location, day = np.indices((4, 2, DAYS))
    frame = pl.DataFrame(
        {
            "product_id": [f"p{i}" for i in product.ravel()],
            "location_id": [str(i) for i in location.ravel()],
            "day": (FIRST + day.ravel()).astype(np.int32),
            "quantity": rng.poisson(3.0, product.size).astype(float),
        }
    )
    return frame.filter(pl.col("quantity") > 0)


def features(tables, grain=BY_SHOP):
    dataset = Dataset.from_frames("x", tables)
    return demand(dataset, grain, AS_OF, 14).collect().to_polars()


def covariates(name, known_ahead):
    days = np.arange(FIRST, FIRST + DAYS)
    return pl.DataFrame(
        {
            "name": name,
            "location_id": pl.Series([None] * DAYS, dtype=pl.String),
            "day": days.astype(np.int32),
            "value": np.sin(days / 5.0),
            "known_ahead": known_ahead,
        }
    )


def changed(table):
    """Change all values from the origin on."""
    later = pl.col("day") >= DAY
    return table.with_columns(pl.when(later).then(9.0).otherwise("value").alias("value"))


def test_future_values_of_a_covariate_that_is_not_known_ahead_are_not_read(sales):
    weather = covariates("weather", known_ahead=False)
    assert_frame_equal(
        features({"sales": sales, "covariates": changed(weather)}),
        features({"sales": sales, "covariates": weather}),
        check_exact=True,
    )


def test_past_values_of_a_covariate_that_is_not_known_ahead_are_read(sales):
    weather = covariates("weather", known_ahead=False)
    before = pl.when(pl.col("day") == DAY - 1).then(9.0).otherwise("value").alias("value")
    values = [
        features({"sales": sales, "covariates": table})["covariate_last_weather"][0]
        for table in (weather, weather.with_columns(before))
    ]
    assert values[0] != values[1]


def test_a_covariate_that_is_known_ahead_has_the_value_of_the_day(sales):
    frame = features({"sales": sales, "covariates": covariates("fair", known_ahead=True)})
    series = frame.filter(pl.col("product_id") == "p0", pl.col("location_id") == "0")
    assert series["covariate_fair"].to_list() == pytest.approx(np.sin((DAY + np.arange(14)) / 5))


def test_a_covariate_with_one_value_not_known_ahead_is_not_known_ahead(sales):
    mixed = covariates("mixed", known_ahead=True).with_columns(known_ahead=pl.col("day") != DAY - 3)
    assert "covariate_mixed" not in features({"sales": sales, "covariates": mixed}).columns


def test_no_future_value_except_plans_changes_any_feature(sales):
    """All tables are changed from the origin on, except values that are known ahead."""
    stock = pl.DataFrame(
        {
            "product_id": "p1",
            "location_id": "0",
            "day": pl.Series([DAY - 20, DAY - 1, DAY, DAY + 3], dtype=pl.Int32),
            "on_hand": [0.0, 4.0, 8.0, 8.0],
        }
    )
    tables = {
        "sales": sales,
        "covariates": covariates("weather", known_ahead=False),
        "stock": stock,
    }
    later = pl.col("day") >= DAY
    other = {
        "sales": sales.with_columns(
            pl.when(later).then(50.0).otherwise("quantity").alias("quantity")
        ),
        "covariates": changed(tables["covariates"]),
        "stock": stock.with_columns(pl.when(later).then(0.0).otherwise("on_hand").alias("on_hand")),
    }
    for grain in (BY_SHOP, WEEKLY):
        before, after = features(tables, grain), features(other, grain)
        assert [c for c in before.columns if c.startswith(PREFIXES)]
        assert_frame_equal(after, before, check_exact=True)


def test_days_without_stock_are_not_zero_demand(sales):
    empty = [DAY - k for k in range(1, 15)]
    gone = (pl.col("product_id") == "p0") & (pl.col("location_id") == "0")
    without = sales.filter(~(gone & pl.col("day").is_in(empty)))
    stock = pl.DataFrame(
        {
            "product_id": "p0",
            "location_id": "0",
            "day": pl.Series(empty, dtype=pl.Int32),
            "on_hand": 0.0,
        }
    )
    series = pl.col("product_id") == "p0", pl.col("location_id") == "0"
    censored = features({"sales": without, "stock": stock}).filter(*series).row(0, named=True)
    zero = features({"sales": without}).filter(*series).row(0, named=True)
    assert 2.2 < censored["level_now"] < 3.8
    assert zero["level_now"] < 0.7 * censored["level_now"]
    # Periods without stock take the level instead of zero.
    for mean in ("trend_mean_7", "trend_mean_14"):
        assert (zero[mean], censored[mean]) == (0.0, 1.0)


def test_the_level_of_a_sold_out_product_is_that_of_days_with_stock(sales):
    """Stock is a daily snapshot that ends before the records; p0 is sold out at the end."""
    day = pl.col("day")
    gone = (pl.col("product_id") == "p0") & (day >= DAY - 10) & (day < DAY)
    pairs = sales.select("product_id", "location_id").unique()
    days = pl.DataFrame({"day": pl.Series(range(DAY - 60, DAY - 3), dtype=pl.Int32)})
    stock = pairs.join(days, how="cross").with_columns(
        on_hand=pl.when(gone).then(0.0).otherwise(50.0)
    )
    for grain, truth in ((BY_SHOP, 3.0), (WEEKLY, 42.0)):
        frame = features({"sales": sales.filter(~gone), "stock": stock}, grain)
        level = frame.filter(pl.col("product_id") == "p0").get_column("level_now")
        assert (level / truth - 1).abs().max() < 0.12


def test_depth_is_a_feature_by_product_and_location(sales):
    plan = pl.DataFrame(
        {
            "product_id": ["p0", "p1"],
            "location_id": pl.Series([None, "0"], dtype=pl.String),
            "kind": "discount",
            "from_day": pl.Series([DAY, DAY], dtype=pl.Int32),
            "to_day": pl.Series([DAY + 7, DAY + 7], dtype=pl.Int32),
            "depth": [0.5, 0.25],
        }
    )
    frame = features({"sales": sales, "promotions": plan})
    planned = frame.filter(pl.col("step") == 0).select(
        "product_id", "location_id", "promotion_planned_the_price_off"
    )
    assert {(product, location): depth for product, location, depth in planned.iter_rows()} == {
        ("p0", "0"): 0.5,
        ("p0", "1"): 0.5,
        ("p1", "0"): 0.25,
        ("p1", "1"): 0.0,
        **{(p, w): 0.0 for p in ("p2", "p3") for w in ("0", "1")},
    }


def test_the_gain_of_a_covariate_is_its_effect_within_weekdays(sales):
    fair = np.arange(DAYS) % 14 < 5
    rows = covariates("fair", known_ahead=True).with_columns(value=pl.Series(fair * 1.0))
    at_fair = (pl.col("product_id") == "p0") & pl.col("day").is_in(FIRST + np.flatnonzero(fair))
    tripled = sales.with_columns(quantity=pl.col("quantity") * (1 + 2 * at_fair))
    frame = features({"sales": tripled, "covariates": rows})
    fair_ahead = frame.filter(pl.col("covariate_fair") == 1)
    gain = fair_ahead.group_by("product_id").agg(pl.col("covariate_gain_fair").mean())
    by_product = dict(gain.iter_rows())
    assert by_product["p0"] > 0.5
    assert max(abs(by_product[p]) for p in ("p1", "p2", "p3")) < 0.2


def test_a_covariate_that_follows_one_weekday_has_no_gain(sales):
    monday = np.arange(FIRST, FIRST + DAYS) % 7 == 0
    rows = covariates("market", known_ahead=True).with_columns(value=pl.Series(monday * 1.0))
    busy = pl.col("day").is_in(FIRST + np.flatnonzero(monday))
    tripled = sales.with_columns(quantity=pl.col("quantity") * (1 + 2 * busy))
    frame = features({"sales": tripled, "covariates": rows})
    assert frame["covariate_gain_market"].abs().max() < 1e-6


@pytest.mark.parametrize("grain", [BY_SHOP, WEEKLY])
def test_a_discontinued_product_has_the_least_level(sales, grain):
    long_gone = (pl.col("product_id") == "p0") & (pl.col("day") >= DAY - 70)
    pairs = sales.select("product_id", "location_id").unique()
    days = pl.DataFrame({"day": pl.Series(range(DAY - 70, DAY), dtype=pl.Int32)})
    empty = pairs.join(days, how="cross").with_columns(
        on_hand=pl.when(pl.col("product_id") == "p0").then(0.0).otherwise(9.0)
    )
    frame = features({"sales": sales.filter(~long_gone), "stock": empty}, grain)
    level = frame.select(is_gone=pl.col("product_id") == "p0", level="level_now")
    assert level.filter("is_gone")["level"].max() <= 0.02
    assert level.filter(~pl.col("is_gone"))["level"].min() > 2
