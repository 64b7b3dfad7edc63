"""What the demand features know of plans, covariates and stock, and what they do not."""

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
    """Change all values at or after the instant."""
    later = pl.col("day") >= DAY
    return table.with_columns(pl.when(later).then(9.0).otherwise("value").alias("value"))


def test_a_covariate_that_is_not_known_ahead_is_not_used_ahead(sales):
    weather = covariates("weather", known_ahead=False)
    assert_frame_equal(
        features({"sales": sales, "covariates": changed(weather)}),
        features({"sales": sales, "covariates": weather}),
        check_exact=True,
    )


def test_a_covariate_that_is_not_known_ahead_is_known_up_to_as_of(sales):
    weather = covariates("weather", known_ahead=False)
    before = pl.when(pl.col("day") == DAY - 1).then(9.0).otherwise("value").alias("value")
    found = [
        features({"sales": sales, "covariates": table})["covariate_last_weather"][0]
        for table in (weather, weather.with_columns(before))
    ]
    assert found[0] != found[1]


def test_a_covariate_that_is_known_ahead_stands_at_its_day(sales):
    frame = features({"sales": sales, "covariates": covariates("fair", known_ahead=True)})
    one = frame.filter(pl.col("product_id") == "p0", pl.col("location_id") == "0")
    assert one["covariate_fair"].to_list() == pytest.approx(np.sin((DAY + np.arange(14)) / 5))


def test_one_value_that_is_not_known_ahead_makes_the_covariate_so(sales):
    mixed = covariates("mixed", known_ahead=True).with_columns(known_ahead=pl.col("day") != DAY - 3)
    assert "covariate_mixed" not in features({"sales": sales, "covariates": mixed}).columns


def test_no_table_but_plans_moves_any_feature_at_the_target_day(sales):
    """Every table is changed at and after the instant but for what is marked as a plan."""
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


def test_days_without_stock_are_no_demand_of_zero(sales):
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
    own = pl.col("product_id") == "p0", pl.col("location_id") == "0"
    censored = features({"sales": without, "stock": stock}).filter(*own).row(0, named=True)
    zero = features({"sales": without}).filter(*own).row(0, named=True)
    assert 2.2 < censored["level_now"] < 3.8
    assert zero["level_now"] < 0.7 * censored["level_now"]
    # Of a week in which nothing could sell nothing is known: it is taken to be as usual.
    for mean in ("trend_mean_7", "trend_mean_14", "trend_last_1"):
        assert (zero[mean], censored[mean]) == (0.0, 1.0)
    assert zero["trend_gap"] == 14 + censored["trend_gap"]


def test_a_deeper_promotion_is_told_from_a_flat_one(sales):
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
    found = frame.filter(pl.col("step") == 0).select(
        "product_id", "location_id", "promotion_planned_the_price_off"
    )
    assert dict(zip(zip(found[:, 0], found[:, 1], strict=True), found[:, 2], strict=True)) == {
        ("p0", "0"): 0.5,
        ("p0", "1"): 0.5,
        ("p1", "0"): 0.25,
        ("p1", "1"): 0.0,
        **{(p, w): 0.0 for p in ("p2", "p3") for w in ("0", "1")},
    }


def test_a_covariate_gains_what_it_did_to_a_series_within_its_weekdays(sales):
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


def test_what_is_always_planned_for_one_weekday_says_nothing_of_the_plan(sales):
    monday = np.arange(FIRST, FIRST + DAYS) % 7 == 0
    rows = covariates("market", known_ahead=True).with_columns(value=pl.Series(monday * 1.0))
    busy = pl.col("day").is_in(FIRST + np.flatnonzero(monday))
    tripled = sales.with_columns(quantity=pl.col("quantity") * (1 + 2 * busy))
    frame = features({"sales": tripled, "covariates": rows})
    assert frame["covariate_gain_market"].abs().max() < 1e-6
