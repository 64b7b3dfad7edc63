"""Customers' purchase histories as arrays: pairs of customer and product, coded and ordered.

The features of `interactions` in; matrices for candidate sources, look-ups for ranking
features out. Used by the recommender, its candidate sources and its baselines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions.builder import baskets, interactions
from features.interactions.products import product_statistics
from features.interactions.promotion_calendar import local_plan
from features.memo import memo
from features.typing import Float32s, Floats, Ints

# A product sold less often than this says nothing about who else may want it.
MIN_LINES = 4
# Unless it is new: first sold within so many days, or promoted now and never sold yet.
NEW_DAYS = 28


@dataclass(frozen=True)
class Interactions:
    """What every customer bought before an instant.

    Attributes
    ----------
    customers, products
        Ids in ascending order; a position is the code. All customers with a basket;
        products with at least `MIN_LINES` lines, and new ones.
    rows, cols
        Codes of each pair bought, ordered by customer and product.
    pairs
        The columns of `interactions`, aligned with them.
    customer
        One row a customer, in the order of `customers`: customer_baskets and
        customer_baskets_28d, customer_recency_days, customer_tenure_days, customer_size
        (mean number of products in a basket), customer_size_last.
    product
        One row a product, in the order of `products`: the columns of `assortment`; NaN for
        what was never sold.
    """

    customers: NDArray[np.str_]
    products: NDArray[np.str_]
    rows: Ints
    cols: Ints
    pairs: Mapping[str, Float32s]
    customer: Mapping[str, Float32s]
    product: Mapping[str, Float32s]

    @property
    def fresh(self) -> Ints:
        """Codes of new products: first sold within `NEW_DAYS`, or not sold yet."""
        first = self.product["first_days"]
        return np.flatnonzero(np.isnan(first) | (first <= NEW_DAYS))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of customers and of products."""
        return len(self.customers), len(self.products)

    def matrix(self, values: Float32s, cols: Ints | None = None) -> sparse.csr_matrix:
        """Lay values of the pairs out as customers x products, or x the products `cols`."""
        full = sparse.csr_matrix((values, (self.rows, self.cols)), shape=self.shape)
        return full if cols is None else full[:, cols]

    def find(self, rows: Ints, cols: Ints) -> Ints:
        """Positions of pairs; -1 for those never bought."""
        return find_sorted(self._keys, rows * len(self.products) + cols)

    @cached_property
    def _keys(self) -> Ints:
        return self.rows * len(self.products) + self.cols

    def by_product(self, column: str) -> Floats:
        """Sum a column of the pairs by product."""
        return add_up(self.cols, self.pairs[column], len(self.products))

    def by_customer(self, column: str) -> Floats:
        """Sum a column of the pairs by customer."""
        return add_up(self.rows, self.pairs[column], len(self.customers))

    def popularity(self) -> Floats:
        """Baskets with each product in 28 days; ties go to what sold more in all."""
        everything = self.by_product("baskets")
        found: Floats = self.by_product("baskets_28d") + everything / (
            everything.max(initial=0) + 1
        )
        return found

    def most_popular(self, limit: int) -> Ints:
        """Codes of the most popular products, best first; ties in the order of ids."""
        return np.argsort(-self.popularity(), kind="stable")[:limit]

    def codes(self, customer_ids: pl.Series) -> Ints:
        """Codes of customers; -1 for those without a history."""
        ids = customer_ids.to_numpy().astype(str)
        return find_sorted(self.customers, ids) if len(ids) else np.zeros(0, np.int64)


def build(dataset: Dataset, as_of: datetime) -> Interactions:
    """Collect the histories known at `as_of`."""
    known = interactions(dataset, as_of).collect().to_polars()
    product = _products(dataset, as_of)
    products = product.get_column("product_id").to_numpy().astype(str)
    customer = _customers(dataset, as_of, known)
    customers = customer.get_column("customer_id").to_numpy().astype(str)
    coded = (
        known.lazy()
        .with_columns(codes_of("customer_id", customers), codes_of("product_id", products))
        .filter(pl.col("product_id").is_not_null())
        .sort("customer_id", "product_id")
        .cast({pl.Float64: pl.Float32})
        .collect()
    )
    columns = [name for name in coded.columns if name not in ("customer_id", "product_id")]
    return Interactions(
        customers,
        products,
        coded.get_column("customer_id").cast(pl.Int64).to_numpy(),
        coded.get_column("product_id").cast(pl.Int64).to_numpy(),
        {name: coded.get_column(name).fill_null(np.nan).to_numpy() for name in columns},
        {
            name: customer.get_column(name).cast(pl.Float32).to_numpy()
            for name in customer.columns
            if name != "customer_id"
        },
        {
            name: product.get_column(name).cast(pl.Float32).fill_null(np.nan).to_numpy()
            for name in product.columns
            if name != "product_id"
        },
    )


@memo()
def known_at(dataset: Dataset, as_of: datetime) -> Interactions:
    """Collect the interactions known at `as_of`, once for all methods that answer then."""
    return build(dataset, as_of)


def add_up(codes: Ints, values: NDArray[Any], size: int) -> Floats:
    """Add up values by code, in their order, which makes the sums the same every time."""
    return np.asarray(np.bincount(codes, weights=values, minlength=size), dtype=np.float64)


def find_sorted(keys: NDArray[Any], wanted: NDArray[Any]) -> Ints:
    """Positions of `wanted` in ascending `keys`; -1 for what is not among them."""
    if len(keys) == 0:
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1).astype(np.int64)
    return np.where(keys[at] == wanted, at, -1)


def codes_of(column: str, ids: NDArray[np.str_]) -> pl.Expr:
    """Positions of a column's values among distinct `ids`; null for those that are not there."""
    known = pl.Series(ids.astype(object), dtype=pl.String)
    return pl.col(column).cast(pl.Enum(known), strict=False).to_physical()


def _products(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Products worth a code, in the order of ids."""
    sold = product_statistics(dataset, as_of).collect().to_polars()
    new = pl.col("first_days") <= NEW_DAYS
    kept = sold.filter((pl.col("lines") >= MIN_LINES) | new)
    if "promotions" in dataset.tables:
        today = to_day(as_of)
        promoted = local_plan(dataset, today, today + 7).select("product_id").collect()
        unsold = promoted.to_polars().unique().join(sold, on="product_id", how="anti")
        kept = pl.concat([kept, unsold], how="diagonal")
    return kept.sort("product_id")


def _customers(dataset: Dataset, as_of: datetime, known: pl.DataFrame) -> pl.DataFrame:
    age = to_day(as_of) - pl.col("day")
    sizes = known.group_by("customer_id").agg(
        pl.col("baskets").sum().alias("products"),
        pl.col("baskets_last_1").sum().alias("customer_size_last"),
    )
    return (
        baskets(dataset, as_of)
        .collect()
        .to_polars()
        .group_by("customer_id")
        .agg(
            pl.len().alias("customer_baskets"),
            (age <= 28).sum().alias("customer_baskets_28d"),
            age.min().alias("customer_recency_days"),
            age.max().alias("customer_tenure_days"),
        )
        .join(sizes, on="customer_id", how="left")
        .with_columns((pl.col("products") / pl.col("customer_baskets")).alias("customer_size"))
        .drop("products")
        .sort("customer_id")
    )
