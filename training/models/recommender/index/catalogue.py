"""What lists have to know of products: what kind each is, its price, whether there is any.

A dataset at an instant in; arrays by product out. Every other part of a list speaks of
products by their code here.
"""

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
from features.typing import Bools, Float32s, Int32s

# From the finest to the widest.
LEVELS = ("subcategory", "category", "department")
# Similarity of two products that share a group of the level; 1 for the same subcategory.
SIMILARITY_BY_LEVEL = {"subcategory": 1.0, "category": 0.6, "department": 0.3}
RECENT_DAYS = 28
PRICE_DAYS = 91


@dataclass(frozen=True)
class Catalogue:
    """Every product that was sold or is in the catalogue.

    Attributes
    ----------
    frame
        One row a product in the order of ids; a position is the code. product_id; name and
        brand where the dataset has them; a column for each of `LEVELS` that it has; price
        (paid for a unit lately, null if unknown); share (of the baskets of the last 28 days);
        buyers; gap (days between two purchases of one customer, null if unknown).
    out
        Where the newest record of stock says that nothing is on hand: location_id (null for
        products of which no location has any), product_id.
    locations
        Every location that a table names; none where the records do not tell locations apart.
    """

    frame: pl.DataFrame
    out: pl.DataFrame
    locations: frozenset[str] = frozenset()

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime) -> Self:
        """Collect what is known at `as_of`."""
        sold = _sold(dataset, as_of)
        if "products" not in dataset.tables:
            frame = sold
        else:
            named = [c for c in ("name", "brand", *LEVELS) if dataset.has("products", c)]
            listed = dataset.table("products").select("product_id", *named).collect().to_polars()
            listed = listed.unique("product_id", keep="first", maintain_order=True)
            frame = sold.join(listed, on="product_id", how="full", coalesce=True)
        if "promotions" in dataset.tables:
            # What is promoted and neither listed nor sold so far may be a candidate all the same.
            planned = dataset.table("promotions").select("product_id").unique().collect()
            frame = frame.join(planned.to_polars(), on="product_id", how="full", coalesce=True)
        frame = frame.with_columns(
            pl.col("share").fill_null(0.0).cast(pl.Float32),
            pl.col("buyers").fill_null(0).cast(pl.Int32),
        ).sort("product_id")
        return cls(frame, _out_of_stock(dataset, as_of), _locations(dataset, as_of))

    def save(self, folder: Path) -> None:
        """Write it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.write_parquet(folder / "catalogue.parquet")
        self.out.write_parquet(folder / "out_of_stock.parquet")
        pl.DataFrame(
            {"location_id": sorted(self.locations)}, {"location_id": pl.String}
        ).write_parquet(folder / "locations.parquet")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(
            pl.read_parquet(folder / "catalogue.parquet"),
            pl.read_parquet(folder / "out_of_stock.parquet"),
            frozenset(pl.read_parquet(folder / "locations.parquet").to_series()),
        )

    @property
    def size(self) -> int:
        """Number of products."""
        return self.frame.height

    @cached_property
    def ids(self) -> list[str]:
        """Ids by code."""
        return self.frame.get_column("product_id").to_list()

    @cached_property
    def codes(self) -> dict[str, int]:
        """Codes by id."""
        return dict(zip(self.ids, range(self.size), strict=True))

    @cached_property
    def names(self) -> list[str | None]:
        """What a person calls each product, where that is known."""
        if "name" not in self.frame.columns:
            return [None] * self.size
        return self.frame.get_column("name").to_list()

    @cached_property
    def groups(self) -> dict[str, Int32s]:
        """By level: the code of each product's group; -1 for products that have none."""
        return {
            level: (self.frame.get_column(level).rank("dense").cast(pl.Int32) - 1)
            .fill_null(-1)
            .to_numpy()
            for level in LEVELS
            if level in self.frame.columns
        }

    @cached_property
    def kinds(self) -> Int32s:
        """The group of the finest level by which each product is told apart; -1 without any."""
        return next(iter(self.groups.values()), np.full(self.size, -1, np.int32))

    @cached_property
    def kind_names(self) -> list[str | None]:
        """The name of each product's group of the finest level."""
        level = next(iter(self.groups), None)
        return [None] * self.size if level is None else self.frame.get_column(level).to_list()

    @cached_property
    def price(self) -> Float32s:
        """Paid for a unit lately; NaN where unknown."""
        return self.frame.get_column("price").cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def share(self) -> Float32s:
        """Share of the last 28 days' baskets."""
        return self.frame.get_column("share").to_numpy()

    @cached_property
    def gap(self) -> Float32s:
        """Days between two purchases of one customer; NaN where unknown."""
        return self.frame.get_column("gap").cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def _out_by_location(self) -> Mapping[str | None, Int32s]:
        rows = self.out.filter(pl.col("product_id").is_in(self.ids))
        return {
            location: self.coded(products.get_column("product_id").to_list())
            for (location,), products in rows.group_by("location_id")
        }

    @cached_property
    def anything(self) -> Bools:
        """Marks the products that are in stock somewhere."""
        marked = np.ones(self.size, bool)
        marked[self.out_of_stock(None)] = False
        return marked

    def out_of_stock(self, location_id: str | None) -> Int32s:
        """Codes of the products that cannot be had at the location, or at none of them."""
        everywhere = self._out_by_location.get(None, np.zeros(0, np.int32))
        if location_id is None or location_id not in self._out_by_location:
            return everywhere
        return np.concatenate([everywhere, self._out_by_location[location_id]])

    def coded(self, product_ids: Iterable[str]) -> Int32s:
        """Codes of the products that are known; the others are left out."""
        found = [self.codes[one] for one in product_ids if one in self.codes]
        return np.array(found, dtype=np.int32)

    def among(self, level: str, names: Iterable[str]) -> Bools:
        """Mark the products of the named groups of a level."""
        if level not in self.frame.columns:
            return np.zeros(self.size, bool)
        return self.frame.get_column(level).is_in(list(names)).fill_null(value=False).to_numpy()


def _sold(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Describe each product that was sold."""
    today = to_day(as_of)
    lines = dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
    money = dataset.has("orders", "revenue")
    paid = nw.col("revenue") if money else nw.col("quantity") * 0.0
    late = nw.col("day") >= today - PRICE_DAYS
    # One row a basket and product first: a product on two lines was bought once.
    bought = (
        lines.with_columns(paid.alias("paid"))
        .group_by("order_id", "customer_id", "product_id")
        .agg(nw.col("day").min(), nw.col("paid").sum(), nw.col("quantity").sum())
        .with_columns(
            nw.when(late).then(nw.col("paid")).otherwise(0.0).alias("late_paid"),
            nw.when(late).then(nw.col("quantity")).otherwise(0.0).alias("late_units"),
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
    unit = pl.when(pl.col("late_units") > 0).then(pl.col("late_paid") / pl.col("late_units"))
    ever = pl.when(pl.col("quantity") > 0).then(pl.col("paid") / pl.col("quantity"))
    return (
        bought.group_by("product_id")
        .agg(
            pl.col("recent", "late_paid", "late_units", "paid", "quantity").sum(),
        )
        .with_columns(
            (pl.col("recent") / max(recent, 1)).alias("share"),
            pl.coalesce(unit, ever).alias("price") if money else pl.lit(None).alias("price"),
        )
        .join(by_customer, on="product_id", how="left")
        .select(
            "product_id",
            pl.col("price").cast(pl.Float64),
            pl.col("share").cast(pl.Float32),
            pl.col("buyers").cast(pl.Int32),
            pl.col("gap").cast(pl.Float64),
        )
    )


def _locations(dataset: Dataset, as_of: datetime) -> frozenset[str]:
    found: set[str] = set()
    for name in ("orders", "stock", "locations", "promotions"):
        if dataset.has(name, "location_id"):
            dated = name in ("orders", "stock")
            rows = dataset.known(name, as_of) if dated else dataset.table(name)
            ids = rows.select("location_id").unique().collect().get_column("location_id")
            found.update(ids.drop_nulls().to_list())
    return frozenset(found)


def _out_of_stock(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    schema = {"location_id": pl.String, "product_id": pl.String}
    if "stock" not in dataset.tables:
        return pl.DataFrame(schema=schema)
    records = dataset.known("stock", as_of).collect().to_polars()
    if "location_id" not in records.columns:
        # Of one shop that has no name: what it lacks is to be had nowhere.
        records = records.with_columns(pl.lit(None, pl.String).alias("location_id"))
    key = ["location_id", "product_id"]
    newest = records.sort("day").group_by(key).agg(pl.col("on_hand").last())
    nowhere = newest.group_by("product_id").agg((pl.col("on_hand") <= 0).all().alias("out"))
    return pl.concat(
        [
            newest.filter(pl.col("on_hand") <= 0, pl.col("location_id").is_not_null()).select(key),
            nowhere.filter("out").select(
                pl.lit(None, pl.String).alias("location_id"), "product_id"
            ),
        ]
    ).cast(schema)  # type: ignore[arg-type]
