"""Product catalogue of the index: groups, price, popularity and stock of each product.

A dataset at an instant in; arrays indexed by product code out. All parts of the index share
these codes, except candidates, which have rows of their own.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.discontinued import discontinued_products
from features.returns import net_purchases
from features.stock import out_of_stock_at
from features.typing import Bools, Float32s, Int32s

# Levels of the assortment, finest first.
LEVELS = ("subcategory", "category", "department")
# Similarity of two products that share a group of the level; 1 for the same subcategory.
SIMILARITY_BY_LEVEL = {"subcategory": 1.0, "category": 0.6, "department": 0.3}
RECENT_DAYS = 28
PRICE_DAYS = 91

CATALOGUE = "catalogue.parquet"
STOCKOUTS = "out_of_stock.parquet"
LOCATIONS = "locations.parquet"


@dataclass(frozen=True)
class Catalogue:
    """Products that were sold, listed in the products table or planned for promotion.

    Attributes
    ----------
    frame
        One row per product, ordered by product_id; the row number is the product's code.
        Columns: product_id; name and brand if the dataset has them; those of `LEVELS` that it
        has; price (mean paid per unit in the last 91 days, or else ever; null if unknown); share
        (of the baskets of the last 28 days); buyers; gap (mean days between two purchases of a
        customer, null if unknown); first_day (of its sales, null if never sold); discontinued
        (`discontinued_products`).
    stockouts
        location_id and product_id where the last known stock is zero or less; location_id is
        null for products that are out of stock at all locations.
    locations
        Locations named by any table; empty if no table has locations.
    """

    frame: pl.DataFrame
    stockouts: pl.DataFrame
    locations: frozenset[str] = frozenset()

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime) -> Self:
        """Collect products from the records before `as_of`."""
        sold = _sold(dataset, as_of)
        if "products" not in dataset.tables:
            frame = sold
        else:
            columns = [c for c in ("name", "brand", *LEVELS) if dataset.has("products", c)]
            listed = dataset.table("products").select("product_id", *columns).collect().to_polars()
            listed = listed.unique("product_id", keep="first", maintain_order=True)
            frame = sold.join(listed, on="product_id", how="full", coalesce=True)
        if "promotions" in dataset.tables:
            # Products that are only planned for promotion may be candidates too.
            planned = dataset.table("promotions").select("product_id").unique().collect()
            frame = frame.join(planned.to_polars(), on="product_id", how="full", coalesce=True)
        frame = frame.with_columns(
            pl.col("share").fill_null(0.0).cast(pl.Float32),
            pl.col("buyers").fill_null(0).cast(pl.Int32),
            discontinued=pl.col("product_id").is_in(
                discontinued_products(dataset, to_day(as_of)).implode()
            ),
        ).sort("product_id")
        return cls(frame, _out_of_stock(dataset, as_of), _locations(dataset, as_of))

    def save(self, folder: Path) -> None:
        """Write three files into `folder`, which is created if needed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.write_parquet(folder / CATALOGUE)
        self.stockouts.write_parquet(folder / STOCKOUTS)
        pl.DataFrame(
            {"location_id": sorted(self.locations)}, {"location_id": pl.String}
        ).write_parquet(folder / LOCATIONS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(
            pl.read_parquet(folder / CATALOGUE),
            pl.read_parquet(folder / STOCKOUTS),
            frozenset(pl.read_parquet(folder / LOCATIONS).to_series()),
        )

    @property
    def size(self) -> int:
        """Number of products."""
        return self.frame.height

    @cached_property
    def ids(self) -> list[str]:
        """Product ids, by code."""
        return self.frame.get_column("product_id").to_list()

    @cached_property
    def codes(self) -> dict[str, int]:
        """Codes, by product id."""
        return dict(zip(self.ids, range(self.size), strict=True))

    @cached_property
    def names(self) -> list[str | None]:
        """Product names by code; None if unknown."""
        if "name" not in self.frame.columns:
            return [None] * self.size
        return _shared(self.frame.get_column("name"))

    @cached_property
    def groups(self) -> dict[str, Int32s]:
        """By level, the group code of each product; -1 if the product has no group."""
        return {
            level: (self.frame.get_column(level).rank("dense").cast(pl.Int32) - 1)
            .fill_null(-1)
            .to_numpy()
            for level in LEVELS
            if level in self.frame.columns
        }

    @cached_property
    def categories(self) -> Int32s:
        """Group codes of the finest level that the dataset has; -1 if there is none."""
        return next(iter(self.groups.values()), np.full(self.size, -1, np.int32))

    @cached_property
    def category_names(self) -> list[str | None]:
        """Names of the groups in `categories`; None if unknown."""
        level = next(iter(self.groups), None)
        return [None] * self.size if level is None else _shared(self.frame.get_column(level))

    @cached_property
    def price(self) -> Float32s:
        """Recent price per unit; NaN if unknown."""
        return self.frame.get_column("price").cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def share(self) -> Float32s:
        """Share of the baskets of the last 28 days."""
        return self.frame.get_column("share").to_numpy()

    @cached_property
    def gap(self) -> Float32s:
        """Mean days between two purchases of a customer; NaN if unknown."""
        return self.frame.get_column("gap").cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def discontinued(self) -> Bools:
        """Mask of products that are no longer sold: lists hold them only if they are asked for."""
        return self.frame.get_column("discontinued").to_numpy()

    @cached_property
    def _stockouts_by_location(self) -> Mapping[str | None, Int32s]:
        rows = self.stockouts.filter(pl.col("product_id").is_in(self.ids))
        return {
            location: self.codes_of(products.get_column("product_id").to_list())
            for (location,), products in rows.group_by("location_id")
        }

    @cached_property
    def in_stock(self) -> Bools:
        """Mask of products that are not out of stock at all locations."""
        mask = np.ones(self.size, bool)
        mask[self.out_of_stock(None)] = False
        return mask

    def out_of_stock(self, location_id: str | None) -> Int32s:
        """Return codes of products out of stock at a location, or at all locations for None."""
        everywhere = self._stockouts_by_location.get(None, np.zeros(0, np.int32))
        if location_id is None or location_id not in self._stockouts_by_location:
            return everywhere
        return np.concatenate([everywhere, self._stockouts_by_location[location_id]])

    def codes_of(self, product_ids: Iterable[str]) -> Int32s:
        """Return the codes of products, skipping unknown ids."""
        codes = [self.codes[product] for product in product_ids if product in self.codes]
        return np.array(codes, dtype=np.int32)

    def in_groups(self, level: str, names: Iterable[str]) -> Bools:
        """Return a mask of the products in the named groups of a level."""
        if level not in self.frame.columns:
            return np.zeros(self.size, bool)
        return self.frame.get_column(level).is_in(list(names)).fill_null(value=False).to_numpy()


def _sold(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return price, share of baskets, buyers, repurchase gap and first day of each sold product."""
    today = to_day(as_of)
    lines = net_purchases(dataset, as_of).filter(~nw.col("product_id").is_null())
    has_revenue = dataset.has("orders", "revenue")
    paid = nw.col("revenue") if has_revenue else nw.col("quantity") * 0.0
    is_late = nw.col("day") >= today - PRICE_DAYS
    # Aggregated per basket and product first: a product on two lines counts as one purchase.
    bought = (
        lines.with_columns(paid.alias("paid"))
        .group_by("order_id", "customer_id", "product_id")
        .agg(nw.col("day").min(), nw.col("paid").sum(), nw.col("quantity").sum())
        .with_columns(
            nw.when(is_late).then(nw.col("paid")).otherwise(0.0).alias("late_paid"),
            nw.when(is_late).then(nw.col("quantity")).otherwise(0.0).alias("late_units"),
            (nw.col("day") >= today - RECENT_DAYS).cast(nw.Int64).alias("recent"),
        )
        .collect()
        .to_polars()
    )
    recent = bought.filter(pl.col("recent") == 1).get_column("order_id").n_unique()
    by_customer = (
        bought.filter(pl.col("customer_id").is_not_null())
        .group_by("product_id", "customer_id")
        .agg(pl.len().alias("times"), (pl.col("day").max() - pl.col("day").min()).alias("span"))
        .group_by("product_id")
        .agg(
            pl.len().alias("buyers"),
            (pl.col("span").sum() / (pl.col("times") - 1).sum().replace(0, None)).alias("gap"),
        )
    )
    late_price = pl.when(pl.col("late_units") > 0).then(pl.col("late_paid") / pl.col("late_units"))
    price = pl.when(pl.col("quantity") > 0).then(pl.col("paid") / pl.col("quantity"))
    return (
        bought.group_by("product_id")
        .agg(
            pl.col("recent", "late_paid", "late_units", "paid", "quantity").sum(),
            pl.col("day").min().alias("first_day"),
        )
        .with_columns(
            (pl.col("recent") / max(recent, 1)).alias("share"),
            pl.coalesce(late_price, price).alias("price")
            if has_revenue
            else pl.lit(None).alias("price"),
        )
        .join(by_customer, on="product_id", how="left")
        .select(
            "product_id",
            pl.col("price").cast(pl.Float64),
            pl.col("share").cast(pl.Float32),
            pl.col("buyers").cast(pl.Int32),
            pl.col("gap").cast(pl.Float64),
            pl.col("first_day").cast(pl.Int32),
        )
    )


def _locations(dataset: Dataset, as_of: datetime) -> frozenset[str]:
    locations: set[str] = set()
    for table in ("orders", "stock", "locations", "promotions"):
        if dataset.has(table, "location_id"):
            is_dated = table in ("orders", "stock")
            rows = dataset.known(table, as_of) if is_dated else dataset.table(table)
            ids = rows.select("location_id").unique().collect().get_column("location_id")
            locations.update(ids.drop_nulls().to_list())
    return frozenset(locations)


def _out_of_stock(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    schema = {"location_id": pl.String, "product_id": pl.String}
    if "stock" not in dataset.tables:
        return pl.DataFrame(schema=schema)
    stock = out_of_stock_at(dataset, to_day(as_of))
    everywhere = stock.group_by("product_id").agg(pl.col("out").all()).filter("out")
    return pl.concat(
        [
            stock.filter("out", pl.col("location_id").is_not_null()).select(list(schema)),
            everywhere.select(pl.lit(None, pl.String).alias("location_id"), "product_id"),
        ]
    ).cast(schema)  # type: ignore[arg-type]


def _shared(texts: pl.Series) -> list[str | None]:
    """Return texts, equal ones as one object: products are many more than their names."""
    return [None if text is None else sys.intern(text) for text in texts]
