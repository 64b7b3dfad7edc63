"""Scenarios: which features another plan changes, and which it does not."""

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.extract import PublishedRecords
from features.demand.grain import Grain
from features.demand.plan import read_plan
from features.demand.scenario import apply_plan
from features.errors import InvalidInput, MissingData

FIRST = 17_000
TODAY = FIRST + 140
AS_OF = day_start(TODAY)
HORIZON = 28
GRAINS = ("product:week", "product,location:day", "category,region:week", "location:day")


def date(day):
    return day_start(day).date().isoformat()


@pytest.fixture(scope="module")
def shop():
    """Ten products at four locations, with some mailers and displays, and prices."""
    rng = np.random.default_rng(3)
    days = np.arange(FIRST, TODAY + 40)
    keys = [(f"p{i}", str(k)) for i in range(10) for k in range(4)]
    sales = [(*key, int(day), float(rng.poisson(2))) for key in keys for day in days]
    plan = [
        (f"p{i}", location, kind, int(start), int(start + 7), depth)
        for i in range(9)
        for location, kind, depth in (
            ("0", "mailer", 0.2),
            ("1", "mailer", 0.2),
            (None, "display", None),
        )
        for start in (*rng.choice(days[:-7:8], 6, replace=False), days[-7])
    ]
    prices = [
        (*key, int(day), float(rng.integers(10, 20)) / 10) for key in keys for day in days[::35]
    ]
    products = {
        "product_id": [f"p{i}" for i in range(10)],
        "category": list("aabbccddee"),
        "department": list("yyyyzzzzzz"),
    }
    return Dataset.from_frames(
        "shop",
        {
            "sales": _table(
                sales,
                product_id=pl.String,
                location_id=pl.String,
                day=pl.Int32,
                quantity=pl.Float64,
            ),
            "promotions": _table(
                plan,
                product_id=pl.String,
                location_id=pl.String,
                kind=pl.String,
                from_day=pl.Int32,
                to_day=pl.Int32,
                depth=pl.Float64,
            ).unique(["product_id", "location_id", "kind", "from_day"]),
            "prices": _table(
                prices,
                product_id=pl.String,
                location_id=pl.String,
                from_day=pl.Int32,
                price=pl.Float64,
            ),
            "products": pl.DataFrame(products),
            "locations": pl.DataFrame({"location_id": list("0123"), "region": list("nnss")}),
        },
    )


def _table(rows, **schema):
    return pl.DataFrame(rows, schema=schema, orient="row")


def features(dataset, grain):
    return demand(dataset, Grain.parse(grain), AS_OF, HORIZON).collect().to_polars()


def scenario_features(shop, grain, *rows):
    return features(apply_plan(shop, read_plan(rows, AS_OF), Grain.parse(grain), TODAY), grain)


def mailer(product="p3", start=TODAY + 7, days=7, **more):
    dates = {"from_date": date(start), "to_date": date(start + days)}
    return {"product_id": product, "kind": "mailer", **dates, **more}


PLANS = {
    "nothing": [],
    "promotion": [mailer()],
    "at_one_location": [mailer(location_id="2"), mailer("p5", location_id="0", depth=0.5)],
    "cancelled": [{**mailer(days=21), "kind": "none"}, mailer("p9", days=3)],
    "price": [{"product_id": "p4", "from_date": date(TODAY + 3), "price": 0.7}],
    "both": [mailer(price=0.9), mailer("p0", start=TODAY - 20, days=30)],
}


@pytest.mark.parametrize("grain", GRAINS)
def test_the_existing_plan_as_a_scenario_changes_nothing(shop, grain):
    plan = shop.table("promotions").to_native().collect().filter(pl.col("to_day") > TODAY)
    rows = [
        {
            **{name: promotion[name] for name in ("product_id", "location_id", "kind", "depth")},
            "from_date": date(promotion["from_day"]),
            "to_date": date(promotion["to_day"]),
        }
        for promotion in plan.iter_rows(named=True)
    ]
    prices = shop.table("prices").to_native().collect().filter(pl.col("from_day") >= TODAY)
    prices = prices.with_columns(pl.col("from_day").cast(pl.Date).alias("from_date"))
    rows += prices.drop("from_day").to_dicts()
    assert len(rows) > 10
    # A kind that a location never had is unknown, until the plan names another for its days.
    planned = cs.starts_with("promotion_").fill_nan(0.0)
    after, before = scenario_features(shop, grain, *rows), features(shop, grain)
    assert_frame_equal(after.with_columns(planned), before.with_columns(planned), check_exact=True)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("grain", GRAINS)
def test_published_records_give_the_features_of_the_whole_dataset(shop, tmp_path, grain, name):
    keys = Grain.parse(grain)
    PublishedRecords.write(shop, keys, AS_OF, tmp_path)
    records = PublishedRecords(tmp_path, keys, AS_OF.isoformat())
    rows = list(range(0, records.index.height, 2))
    ids = records.index[rows].select(keys.keys)
    plan = read_plan(PLANS[name], AS_OF)
    served, expected = (
        demand(dataset, keys, AS_OF, HORIZON, ids).collect().to_polars()
        for dataset in (records.dataset(rows, plan), apply_plan(shop, plan, keys, TODAY))
    )
    assert_frame_equal(served, expected, check_exact=True)


def test_a_planned_promotion_covers_its_days_and_locations_and_no_others(shop):
    before = features(shop, "product,location:day")
    after = scenario_features(
        shop, "product,location:day", {**mailer(location_id="2"), "kind": "mailer"}
    )
    planned = "promotion_planned_mailer"
    covered = (
        (pl.col("product_id") == "p3")
        & (pl.col("location_id") == "2")
        & pl.col("day").is_between(TODAY + 7, TODAY + 13)
    )
    assert after.filter(covered)[planned].to_list() == [1.0] * 7
    assert after.filter(~covered)[planned].equals(before.filter(~covered)[planned])


def test_a_promotion_at_a_location_that_never_had_one_leaves_other_products_alone(shop):
    others = pl.col("product_id") != "p3"
    after = scenario_features(shop, "product:week", mailer(location_id="3"))
    assert_frame_equal(
        after.filter(others), features(shop, "product:week").filter(others), check_exact=True
    )


def test_a_cancelled_promotion_is_not_planned(shop):
    row = {**mailer("p1", start=TODAY, days=HORIZON), "kind": "none"}
    after = scenario_features(shop, "product:week", row).filter(pl.col("product_id") == "p1")
    assert after["promotion_planned_any"].to_list() == [0.0] * 4


def test_a_planned_price_is_valid_on_its_days_and_the_existing_one_returns(shop):
    row = {
        "product_id": "p4",
        "from_date": date(TODAY + 2),
        "to_date": date(TODAY + 5),
        "price": 0.5,
    }
    series = (pl.col("product_id") == "p4") & (pl.col("location_id") == "1")
    before = features(shop, "product,location:day").filter(series)["price_planned"]
    after = scenario_features(shop, "product,location:day", row).filter(series)["price_planned"]
    assert after[2:5].to_list() == [0.5] * 3
    assert after[:2].to_list() + after[5:].to_list() == before[:2].to_list() + before[5:].to_list()


def test_an_unknown_kind_of_promotion_is_refused_with_the_known_kinds(shop):
    plan = read_plan([{**mailer(), "kind": "television"}], AS_OF)
    with pytest.raises(InvalidInput, match="there is display, mailer") as caught:
        apply_plan(shop, plan, Grain.parse("product:week"), TODAY)
    assert caught.value.field == "plan[0].kind"


def test_a_price_is_refused_if_the_dataset_has_no_prices(shop):
    bare = Dataset(shop.name, "bare", {"sales": shop.table("sales")})
    plan = read_plan([{"product_id": "p1", "from_date": date(TODAY), "price": 1}], AS_OF)
    with pytest.raises(MissingData, match="no table 'prices'") as caught:
        apply_plan(bare, plan, Grain.parse("product:week"), TODAY)
    assert caught.value.field == "plan[0].price"
