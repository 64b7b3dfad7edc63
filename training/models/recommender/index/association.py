"""Which products are bought together more often than chance has it, and how sure that is.

Baskets in; for each product its partners with lift, support and a significance that
survives the number of pairs that were looked at.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammainc

from features.dataset import Dataset
from features.typing import Float32s, Int32s
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

# The newest baskets, and the products in enough of them, that are looked at.
MOST_BASKETS = 400_000
MOST_PRODUCTS = 20_000
MIN_BASKETS = 20
# A pair that few customers put together tells of them, not of the products.
MIN_CUSTOMERS = 3
# A stock-up of everything says little about what goes together.
MOST_LINES = 40
FALSE_DISCOVERIES = 0.01
PARTNERS = 40
# So many baskets that are neither here nor there are added to what was seen and expected.
SHRINK = 5.0
# Pairs of lines that are held in memory at once.
ROWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Association(arrays.StoredArrays):
    """Significant pairs, each product's strongest first.

    Attributes
    ----------
    ends
        Where each product's partners end, with a zero in front.
    partner
        The products that are bought with it.
    lift
        Times as often as chance has it, given how large baskets are.
    support
        Share of the baskets that hold both.
    confidence
        Share of the product's baskets that hold the partner too.
    weight
        The log of the lift, shrunk towards none by how few baskets it rests on.
    """

    prefix: ClassVar[str] = "pair"

    ends: NDArray[np.int64]
    partner: Int32s
    lift: Float32s
    support: Float32s
    confidence: Float32s
    weight: Float32s

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Test all pairs of products that were bought before `as_of`."""
        return cls.of(_baskets(dataset, as_of, catalogue), catalogue.size)

    @classmethod
    def of(cls, baskets: pl.DataFrame, products: int) -> Self:
        """Test all pairs of products in baskets: basket, customer, code, each once."""
        held = _often_bought(baskets)
        rows = held.group_by("code").len()
        count = np.zeros(products)
        count[rows.get_column("code").to_numpy()] = rows.get_column("len").to_numpy()
        pairs = _pairs(held, count)
        eligible = rows.height
        p = p_values(pairs.both, pairs.customers, pairs.expected)
        pairs = pairs[discoveries(p, eligible * (eligible - 1) // 2)]
        total = max(held.get_column("basket").n_unique(), 1)

        i, j = np.concatenate([pairs.i, pairs.j]), np.concatenate([pairs.j, pairs.i])
        twice = np.concatenate([np.arange(len(pairs.i))] * 2)
        weight = _weight(pairs)[twice]
        order = np.lexsort((j, -weight, i))
        i, j, twice, weight = i[order], j[order], twice[order], weight[order]
        keep = np.arange(len(i)) - group_boundaries(i, products)[i] < PARTNERS
        i, j, twice, weight = i[keep], j[keep], twice[keep], weight[keep]
        return cls(
            group_boundaries(i, products),
            j.astype(np.int32),
            pairs.lift[twice].astype(np.float32),
            (pairs.both[twice] / total).astype(np.float32),
            (pairs.both[twice] / count[i]).astype(np.float32),
            weight.astype(np.float32),
        )

    def span(self, code: int) -> slice:
        """Where the partners of a product are."""
        return slice(int(self.ends[code]), int(self.ends[code + 1]))

    def of_all(self, codes: Int32s) -> NDArray[np.float64]:
        """Add up how strongly some products speak for each of all."""
        pair = self._pairs(codes)[0]
        weight = self.weight[pair].astype(np.float64)
        found = np.bincount(self.partner[pair], weights=weight, minlength=len(self.ends) - 1)
        return np.asarray(found, np.float64)

    def _pairs(self, codes: Int32s) -> tuple[NDArray[np.int64], list[int]]:
        """Find the pairs of products, and how many each has."""
        spans = [np.arange(self.ends[code], self.ends[code + 1]) for code in codes.tolist()]
        pair = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        return pair, [len(one) for one in spans]

    def towards(self, basket: Int32s) -> "Towards":
        """Add up how strongly the products of a basket speak for each further one."""
        pair, counts = self._pairs(basket)
        if not len(pair):
            return Towards(np.zeros(0, np.int32), np.zeros(0, np.float32), pair, pair)
        speaker = np.repeat(basket, counts)
        order = np.lexsort((speaker, -self.weight[pair], self.partner[pair]))
        pair, speaker = pair[order], speaker[order]
        codes, first, inverse = np.unique(
            self.partner[pair], return_index=True, return_inverse=True
        )
        total = np.bincount(inverse, weights=self.weight[pair]).astype(np.float32)
        return Towards(codes.astype(np.int32), total, speaker[first], pair[first])


@dataclass(frozen=True)
class Towards:
    """What a basket speaks for.

    Attributes
    ----------
    codes
        Products that go with any of the basket, ascending.
    weight
        How strongly, all products of the basket together.
    speaker, pair
        The product of the basket that speaks loudest, and the pair of both.
    """

    codes: Int32s
    weight: Float32s
    speaker: NDArray[np.integer[Any]]
    pair: NDArray[np.int64]


@dataclass(frozen=True)
class _Pairs:
    """Pairs of products, i before j, that were seen together, and what chance has it."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    both: NDArray[np.float64]
    customers: NDArray[np.float64]
    expected: NDArray[np.float64]

    @property
    def lift(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.both / self.expected
        return found

    def __getitem__(self, at: NDArray[Any]) -> "_Pairs":
        return _Pairs(*(getattr(self, name)[at] for name in _Pairs.__annotations__))


def _baskets(dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> pl.DataFrame:
    orders = dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
    lines = orders.select("order_id", "customer_id", "product_id", "ts").collect().to_polars()
    newest = (
        lines.group_by("order_id")
        .agg(pl.col("ts").max(), pl.col("customer_id").first())
        .sort("ts", "order_id", descending=True)
        .head(MOST_BASKETS)
        .with_row_index("basket")
    )
    # An anonymous basket is its own customer.
    customer = pl.coalesce("customer_id", pl.lit("\0") + pl.col("order_id"))
    newest = newest.with_columns((customer.rank("dense") - 1).cast(pl.Int32).alias("customer"))
    position = pl.Enum(catalogue.frame.get_column("product_id"))
    return (
        lines.select(
            "order_id",
            pl.col("product_id").cast(position).to_physical().cast(pl.Int32).alias("code"),
        )
        .unique()
        .join(newest.select("order_id", "basket", "customer"), on="order_id")
        .select("basket", "customer", "code")
    )


def _often_bought(baskets: pl.DataFrame) -> pl.DataFrame:
    """Leave baskets of two and more products that are bought often enough to tell."""
    small = baskets.filter(pl.len().over("basket") <= MOST_LINES)
    often = (
        small.group_by("code")
        .len()
        .filter(pl.col("len") >= MIN_BASKETS)
        .sort("len", "code", descending=[True, False])
        .head(MOST_PRODUCTS)
    )
    return small.join(often.select("code"), on="code", how="semi").filter(
        pl.len().over("basket") >= 2
    )


def _pairs(held: pl.DataFrame, count: NDArray[np.float64]) -> _Pairs:
    """Count the baskets and the customers with both, and what chance has it.

    Chance: products fall into baskets independently, as often as they are bought and in
    proportion to how many products a basket holds. With equal baskets throughout, large ones
    would make everything look as if it belonged together.
    """
    size = held.group_by("basket").len().get_column("len").cast(pl.Float64)
    crowding = float((size * (size - 1)).sum()) / max(float(size.sum()) ** 2, 1.0)
    # Customers are apart from each other, so counts of parts of them add up.
    weight = pl.len().over("basket")
    part = (weight.cum_sum() // ROWS_AT_ONCE).last().over("customer").alias("part")
    parts = held.sort("customer", "basket", "code").with_columns(part).partition_by("part")
    key = ["code", "other"]
    counted = [
        rows.join(rows.select("basket", pl.col("code").alias("other")), on="basket")
        .filter(pl.col("code") < pl.col("other"))
        .group_by(*key, "customer")
        .agg(pl.len().alias("both"))
        .group_by(key)
        .agg(pl.col("both").sum(), pl.len().alias("customers"))
        for rows in parts
    ]
    if not counted:
        none = np.zeros(0)
        return _Pairs(none.astype(np.int64), none.astype(np.int64), none, none, none)
    seen = pl.concat(counted).group_by(key).agg(pl.col("both", "customers").sum())
    seen = seen.filter(pl.col("customers") >= MIN_CUSTOMERS).sort(key)
    i, j = (seen.get_column(name).cast(pl.Int64).to_numpy() for name in key)
    return _Pairs(
        i,
        j,
        seen.get_column("both").cast(pl.Float64).to_numpy(),
        seen.get_column("customers").cast(pl.Float64).to_numpy(),
        count[i] * count[j] * crowding,
    )


def p_values(
    both: NDArray[np.float64], customers: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chance of as many baskets with both, were the products bought independently.

    The upper tail of a Poisson count, which is above that of Fisher's exact test. Baskets of
    one customer repeat each other: they count as one, and what is expected shrinks alike.
    """
    found: NDArray[np.float64] = gammainc(customers, expected * customers / both)
    return found


def discoveries(p: NDArray[np.float64], tests: int) -> NDArray[np.bool_]:
    """Mark p-values of which at most `FALSE_DISCOVERIES` are false.

    Source: Benjamini and Hochberg 1995; `tests` counts those too that are not in `p`,
    because nothing was there to test.
    """
    order = np.argsort(p, kind="stable")
    bound = FALSE_DISCOVERIES * np.arange(1, len(p) + 1) / max(tests, 1)
    below = np.flatnonzero(p[order] <= bound)
    marked = np.zeros(len(p), bool)
    if len(below):
        marked[order[: below[-1] + 1]] = True
    return marked


def _weight(pairs: _Pairs) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log((pairs.both + SHRINK) / (pairs.expected + SHRINK))
    return found
