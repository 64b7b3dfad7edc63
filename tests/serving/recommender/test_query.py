"""Filters by stock and location, on generated records."""

from datetime import datetime

import polars as pl
import pytest

from features.dataset import Dataset
from features.errors import NotFound
from serving.recommender.query import Filters
from training.models.recommender.index.catalogue import Catalogue

AS_OF = datetime(2024, 6, 3)
DAY = (AS_OF - datetime(1970, 1, 1)).days


def allowed(products, location_id):
    mask = Filters(location_id=location_id).allowed(products)
    return [product for product, is_allowed in zip(products.ids, mask, strict=True) if is_allowed]


def test_the_newest_stock_record_of_each_location_counts(shop):
    stock = pl.DataFrame(
        [
            ("a", "n", DAY - 1, 0.0),
            ("a", "s", DAY - 1, 0.0),
            ("a", "n", DAY - 5, 9.0),
            ("b", "n", DAY - 1, 0.0),
            ("b", "s", DAY - 1, 3.0),
            ("c", "n", DAY + 1, 0.0),
        ],
        {"product_id": pl.String, "location_id": pl.String, "day": pl.Int32, "on_hand": pl.Float64},
        orient="row",
    )
    rows = [("x", f"o{product}", product, 3, "n") for product in "abc"]
    products = Catalogue.build(shop(rows, AS_OF, stock=stock), AS_OF)
    assert allowed(products, None) == ["b", "c"]
    assert allowed(products, "n") == ["c"]
    assert allowed(products, "s") == ["b", "c"]


def test_stock_without_a_location_holds_everywhere(shop):
    stock = pl.DataFrame(
        [("a", DAY - 1, 0.0), ("a", DAY - 5, 9.0), ("b", DAY - 1, 3.0)],
        {"product_id": pl.String, "day": pl.Int32, "on_hand": pl.Float64},
        orient="row",
    )
    rows = [("x", f"o{product}", product, 3, "n") for product in "abc"]
    products = Catalogue.build(shop(rows, AS_OF, stock=stock), AS_OF)
    for location in (None, "n"):
        assert allowed(products, location) == ["b", "c"]


def test_an_unknown_location_is_refused_if_tables_name_others(shop):
    rows = [("x", "o", "a", 3, "n"), ("x", "p", "a", -3, "later")]
    planned = pl.DataFrame({"location_id": ["new"], "name": ["The new shop"]})
    products = Catalogue.build(shop(rows, AS_OF, locations=planned), AS_OF)
    for location in (None, "n", "new"):
        assert allowed(products, location) == ["a"]
    with pytest.raises(NotFound, match="'later' is unknown: it has no sales") as error:
        Filters(location_id="later").allowed(products)
    assert error.value.field == "location_id"
    orders = shop(rows, AS_OF).table("orders").to_native().drop("location_id")
    bare = Catalogue.build(Dataset.from_frames("bare", {"orders": orders}), AS_OF)
    assert allowed(bare, "any") == ["a"]
