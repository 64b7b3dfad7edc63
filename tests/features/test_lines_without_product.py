"""Lines without a product: they are visits and spend, and nothing else knows them."""

import polars as pl
import pytest

from features.calendar import day_start
from features.customers.builder import customers
from features.customers.by_category import category_features
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.noise_floor import noise_floor
from features.demand.series import all_series
from features.interactions.builder import baskets, interactions, next_baskets
from features.interactions.locations import local_sales, usual_locations
from features.interactions.products import product_statistics
from features.interactions.promoted_purchases import placement_lifts

AS_OF = day_start(17_448)


@pytest.fixture(scope="module")
def goods_only(journey: Dataset, rewritten) -> Dataset:
    """The same records, had lines without a product been left out."""
    orders = journey.table("orders").collect().to_polars()
    assert orders.get_column("product_id").null_count() > 1000
    return rewritten(journey, orders=orders.drop_nulls("product_id"))


def rows(frame) -> pl.DataFrame:
    found = frame.collect().to_polars()
    return found.select(sorted(found.columns)).sort(pl.all())


@pytest.mark.parametrize("grain", ["product:week", "location:day", "channel:day"])
def test_no_demand_is_in_them(journey, goods_only, grain):
    parsed = Grain.parse(grain)
    with_lines, without = all_series(journey, parsed), all_series(goods_only, parsed)
    assert rows(with_lines.index).equals(rows(without.index))
    assert rows(with_lines.units).equals(rows(without.units))
    assert noise_floor(journey, parsed, AS_OF) == noise_floor(goods_only, parsed, AS_OF)


def ahead(dataset, as_of):
    return next_baskets(dataset, as_of, 28)


@pytest.mark.parametrize(
    "build",
    [
        product_statistics,
        baskets,
        interactions,
        ahead,
        category_features,
        local_sales,
        usual_locations,
        placement_lifts,
    ],
    ids=lambda build: build.__name__,
)
def test_no_list_and_no_category_knows_them(journey, goods_only, build):
    assert rows(build(journey, AS_OF)).equals(rows(build(goods_only, AS_OF)))


def test_they_are_visits_and_spend(journey, goods_only):
    known, less = (
        customers(one, AS_OF).select("customer_id", "visits", "lines_per_visit").collect()
        for one in (journey, goods_only)
    )
    assert known.get_column("visits").sum() > 1.03 * less.get_column("visits").sum()
