"""Lines without a product count as visits and spend, and in no other feature."""

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
from features.interactions.locations import usual_locations
from features.interactions.products import product_statistics
from features.interactions.promoted_purchases import placement_lifts

AS_OF = day_start(17_448)


@pytest.fixture(scope="module")
def with_products(journey: Dataset, rewritten) -> Dataset:
    """Return the records without the lines that lack a product."""
    orders = journey.table("orders").collect().to_polars()
    assert orders.get_column("product_id").null_count() > 1000
    return rewritten(journey, orders=orders.drop_nulls("product_id"))


def rows(frame) -> pl.DataFrame:
    collected = frame.collect().to_polars()
    return collected.select(sorted(collected.columns)).sort(pl.all())


@pytest.mark.parametrize("grain", ["product:week", "location:day", "channel:day"])
def test_they_do_not_change_demand(journey, with_products, grain):
    parsed = Grain.parse(grain)
    with_lines, without = all_series(journey, parsed), all_series(with_products, parsed)
    assert rows(with_lines.index).equals(rows(without.index))
    assert rows(with_lines.units).equals(rows(without.units))
    assert noise_floor(journey, parsed, AS_OF) == noise_floor(with_products, parsed, AS_OF)


def labels(dataset, as_of):
    return next_baskets(dataset, as_of, 28)


@pytest.mark.parametrize(
    "build",
    [
        product_statistics,
        baskets,
        interactions,
        labels,
        category_features,
        usual_locations,
        placement_lifts,
    ],
    ids=lambda build: build.__name__,
)
def test_they_do_not_change_interaction_or_category_features(journey, with_products, build):
    assert rows(build(journey, AS_OF)).equals(rows(build(with_products, AS_OF)))


def test_they_count_as_visits(journey, with_products):
    known, without = (
        customers(dataset, AS_OF).select("customer_id", "visits", "lines_per_visit").collect()
        for dataset in (journey, with_products)
    )
    assert known.get_column("visits").sum() > 1.03 * without.get_column("visits").sum()
