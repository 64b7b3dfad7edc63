"""Customers' purchase histories as arrays: pairs of customer and product, coded and ordered.

The features of `interactions` in; matrices for candidate sources, look-ups for ranking
features out. Used by the recommender, its candidate sources and its baselines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions import baskets, interactions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

# A product sold less often than this says nothing about who else may want it.
MIN_LINES = 4


@dataclass(frozen=True)
class Histories:
    """What every customer bought before an instant.

    Attributes
    ----------
    customers, products
        Ids in ascending order; a position is the code. All customers with a basket;
        products with at least `MIN_LINES` lines.
    rows, cols
        Codes of each pair bought, ordered by customer and product.
    pairs
        The columns of `interactions`, aligned with them.
    customer
        One row a customer, in the order of `customers`: customer_baskets and
        customer_baskets_28d, customer_recency_days, customer_tenure_days.
    """

    customers: NDArray[np.str_]
    products: NDArray[np.str_]
    rows: Ints
    cols: Ints
    pairs: Mapping[str, Float32s]
    customer: Mapping[str, Float32s]

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
        keys = self.rows * len(self.products) + self.cols
        return find_sorted(keys, rows * len(self.products) + cols)

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


def build(dataset: Dataset, as_of: datetime) -> Histories:
    """Collect the histories known at `as_of`."""
    known = interactions(dataset, as_of).collect().to_polars()
    sold = known.group_by("product_id").agg(pl.col("lines").sum())
    products = sold.filter(pl.col("lines") >= MIN_LINES).get_column("product_id").sort()
    customer = _customers(dataset, as_of)
    customers = customer.get_column("customer_id")
    coded = (
        known.lazy()
        .with_columns(_codes("customer_id", customers), _codes("product_id", products))
        .filter(pl.col("product_id").is_not_null())
        .sort("customer_id", "product_id")
        .cast({pl.Float64: pl.Float32})
        .collect()
    )
    columns = [name for name in coded.columns if name not in ("customer_id", "product_id")]
    return Histories(
        customers.to_numpy().astype(str),
        products.to_numpy().astype(str),
        coded.get_column("customer_id").cast(pl.Int64).to_numpy(),
        coded.get_column("product_id").cast(pl.Int64).to_numpy(),
        {name: coded.get_column(name).fill_null(np.nan).to_numpy() for name in columns},
        {
            name: customer.get_column(name).cast(pl.Float32).to_numpy()
            for name in customer.columns
            if name != "customer_id"
        },
    )


def known_at(dataset: Dataset, as_of: datetime) -> Histories:
    """Collect the histories known at `as_of`, once for all methods that answer then."""
    return dataset.derive(("histories", as_of), lambda: build(dataset, as_of))


def add_up(codes: Ints, values: NDArray[Any], size: int) -> Floats:
    """Add up values by code, in their order, which makes the sums the same every time."""
    return np.asarray(np.bincount(codes, weights=values, minlength=size), dtype=np.float64)


def find_sorted(keys: NDArray[Any], wanted: NDArray[Any]) -> Ints:
    """Positions of `wanted` in ascending `keys`; -1 for what is not among them."""
    if len(keys) == 0:
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1).astype(np.int64)
    return np.where(keys[at] == wanted, at, -1)


def _codes(column: str, ids: pl.Series) -> pl.Expr:
    return pl.col(column).cast(pl.Enum(ids), strict=False).to_physical()


def _customers(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    age = to_day(as_of) - pl.col("day")
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
        .sort("customer_id")
    )
