"""Purchases by customer and product as coded, ordered arrays.

The `interactions` feature table in; matrices for candidate generators and look-ups for ranking
features out.
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
from features.interactions.builder import baskets
from features.interactions.builder import interactions as interaction_table
from features.interactions.products import product_statistics
from features.interactions.promotion_calendar import local_plan
from features.memo import memo
from features.typing import Float32s, Floats, Ints

# Products with fewer order lines have too few buyers to learn from.
MIN_LINES = 4
# Newer products are included all the same: those first sold within so many days, and those that
# are promoted and not sold yet.
NEW_DAYS = 28


@dataclass(frozen=True)
class Interactions:
    """What every customer bought before an instant.

    Attributes
    ----------
    customers, products
        Ids in ascending order; a position is the code. All customers with a basket; products
        with at least `MIN_LINES` lines, and new ones.
    rows, cols
        Customer and product code of each pair, ordered by both.
    features
        The columns of the `interactions` table, aligned with the pairs.
    customer_features
        By customer code: customer_baskets, customer_baskets_28d, customer_recency_days,
        customer_tenure_days, customer_size (mean number of products in a basket),
        customer_size_last.
    product_features
        By product code: the columns of `product_statistics`; NaN for products not sold yet.
    """

    customers: NDArray[np.str_]
    products: NDArray[np.str_]
    rows: Ints
    cols: Ints
    features: Mapping[str, Float32s]
    customer_features: Mapping[str, Float32s]
    product_features: Mapping[str, Float32s]

    @property
    def new_products(self) -> Ints:
        """Codes of products first sold within `NEW_DAYS`, or not sold yet."""
        first = self.product_features["first_days"]
        return np.flatnonzero(np.isnan(first) | (first <= NEW_DAYS))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of customers and of products."""
        return len(self.customers), len(self.products)

    def matrix(self, values: Float32s, cols: Ints | None = None) -> sparse.csr_matrix:
        """Arrange values of the pairs as a customers x products matrix, or only `cols` of it."""
        full = sparse.csr_matrix((values, (self.rows, self.cols)), shape=self.shape)
        return full if cols is None else full[:, cols]

    def find(self, rows: Ints, cols: Ints) -> Ints:
        """Positions of pairs of codes; -1 for products that the customer never bought."""
        return find_sorted(self._keys, rows * len(self.products) + cols)

    @cached_property
    def _keys(self) -> Ints:
        return self.rows * len(self.products) + self.cols

    def sum_by_product(self, feature: str) -> Floats:
        """Sum a feature of the pairs by product."""
        return sum_by_code(self.cols, self.features[feature], len(self.products))

    def sum_by_customer(self, feature: str) -> Floats:
        """Sum a feature of the pairs by customer."""
        return sum_by_code(self.rows, self.features[feature], len(self.customers))

    def popularity(self) -> Floats:
        """Baskets with each product in 28 days; ties go to products with more baskets in all."""
        total = self.sum_by_product("baskets")
        popularity: Floats = self.sum_by_product("baskets_28d") + total / (total.max(initial=0) + 1)
        return popularity

    def most_popular(self, limit: int) -> Ints:
        """Codes of the most popular products, best first; ties in the order of ids."""
        return np.argsort(-self.popularity(), kind="stable")[:limit]

    def customer_codes(self, customer_ids: pl.Series) -> Ints:
        """Codes of customers; -1 for customers without a basket."""
        ids = customer_ids.to_numpy().astype(str)
        return find_sorted(self.customers, ids) if len(ids) else np.zeros(0, np.int64)


def build_interactions(dataset: Dataset, as_of: datetime) -> Interactions:
    """Collect the purchases before `as_of`."""
    pairs = interaction_table(dataset, as_of).collect().to_polars()
    product = _product_features(dataset, as_of)
    products = product.get_column("product_id").to_numpy().astype(str)
    customer = _customer_features(dataset, as_of, pairs)
    customers = customer.get_column("customer_id").to_numpy().astype(str)
    coded = (
        pairs.lazy()
        .with_columns(
            code_expression("customer_id", customers), code_expression("product_id", products)
        )
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
def interactions_at(dataset: Dataset, as_of: datetime) -> Interactions:
    """Return the interactions before `as_of`, computed once per dataset and instant."""
    return build_interactions(dataset, as_of)


def sum_by_code(codes: Ints, values: NDArray[Any], size: int) -> Floats:
    """Sum values by code, in their order, so that rounding is the same in every run."""
    return np.asarray(np.bincount(codes, weights=values, minlength=size), dtype=np.float64)


def find_sorted(keys: NDArray[Any], wanted: NDArray[Any]) -> Ints:
    """Positions of `wanted` in ascending `keys`; -1 for values that are not among them."""
    if len(keys) == 0:
        return np.full(len(wanted), -1, np.int64)
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1).astype(np.int64)
    return np.where(keys[position] == wanted, position, -1)


def code_expression(column: str, ids: NDArray[np.str_]) -> pl.Expr:
    """Return an expression of the positions of a column's values in distinct `ids`, or null."""
    categories = pl.Series(ids.astype(object), dtype=pl.String)
    return pl.col(column).cast(pl.Enum(categories), strict=False).to_physical()


def _product_features(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return sales of the products that get a code, ordered by product_id."""
    sold = product_statistics(dataset, as_of).collect().to_polars()
    new = pl.col("first_days") <= NEW_DAYS
    kept = sold.filter((pl.col("lines") >= MIN_LINES) | new)
    if "promotions" in dataset.tables:
        today = to_day(as_of)
        promoted = local_plan(dataset, today, today + 7).select("product_id").collect()
        unsold = promoted.to_polars().unique().join(sold, on="product_id", how="anti")
        kept = pl.concat([kept, unsold], how="diagonal")
    return kept.sort("product_id")


def _customer_features(dataset: Dataset, as_of: datetime, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return number, recency and size of each customer's baskets, ordered by customer_id."""
    age = to_day(as_of) - pl.col("day")
    sizes = pairs.group_by("customer_id").agg(
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
