"""Association rules: pairs of products bought together significantly more often than by chance.

Baskets in; for each product its partners with lift, support and confidence out. Significance is
corrected for the number of pairs tested.
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
from features.returns import net_purchases
from features.typing import Bools, Float32s, Floats, Int32s, Ints
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

# Bounds on what is tested: the newest baskets, and the products that enough of them hold.
MOST_BASKETS = 400_000
MOST_PRODUCTS = 20_000
MIN_BASKETS = 20
# With fewer customers, a pair reflects individual habits rather than the products.
MIN_CUSTOMERS = 3
# Larger baskets are left out: a stock-up says little about which products complement each other.
MOST_LINES = 40
FALSE_DISCOVERY_RATE = 0.01
# Partners kept per product.
PARTNERS = 40
# Baskets added to the observed and the expected count, which shrinks the log lift towards zero.
SHRINK = 5.0
# Pairs of order lines in memory at once.
ROWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Association(arrays.StoredArrays):
    """Significant pairs by product, the largest weight first.

    Attributes
    ----------
    ends
        Offsets: the pairs of product code p are `[ends[p], ends[p + 1])`.
    partner
        Codes of the partners.
    lift
        Observed over expected number of baskets with both, given the sizes of baskets.
    support
        Share of all tested baskets that hold both.
    confidence
        Share of the product's tested baskets that also hold the partner.
    weight
        Log of the lift, shrunk towards zero where few baskets support it.
    """

    prefix: ClassVar[str] = "pair"

    ends: Ints
    partner: Int32s
    lift: Float32s
    support: Float32s
    confidence: Float32s
    weight: Float32s

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Test the pairs of products in baskets before `as_of`."""
        baskets = _baskets(dataset, as_of, catalogue)
        return cls.from_baskets(baskets, catalogue.size, ~catalogue.discontinued)

    @classmethod
    def from_baskets(
        cls, baskets: pl.DataFrame, products: int, partners: Bools | None = None
    ) -> Self:
        """Test the pairs of products in baskets.

        Parameters
        ----------
        baskets
            Distinct rows of basket, customer and product code.
        products
            Number of product codes.
        partners
            Mask of the products that may be partners, by default all.
        """
        tested = _often_bought(baskets)
        rows = tested.group_by("code").len()
        count = np.zeros(products)
        count[rows.get_column("code").to_numpy()] = rows.get_column("len").to_numpy()
        pairs = _count_pairs(tested, count)
        p = p_values(pairs.both, pairs.customers, pairs.expected)
        pairs = pairs[discoveries(p, rows.height * (rows.height - 1) // 2)]
        total = max(tested.get_column("basket").n_unique(), 1)

        i, j = np.concatenate([pairs.i, pairs.j]), np.concatenate([pairs.j, pairs.i])
        pair = np.concatenate([np.arange(len(pairs.i))] * 2)
        if partners is not None:
            i, j, pair = i[partners[j]], j[partners[j]], pair[partners[j]]
        weight = _weight(pairs)[pair]
        order = np.lexsort((j, -weight, i))
        i, j, pair, weight = i[order], j[order], pair[order], weight[order]
        keep = np.arange(len(i)) - group_boundaries(i, products)[i] < PARTNERS
        i, j, pair, weight = i[keep], j[keep], pair[keep], weight[keep]
        return cls(
            group_boundaries(i, products),
            j.astype(np.int32),
            pairs.lift[pair].astype(np.float32),
            (pairs.both[pair] / total).astype(np.float32),
            (pairs.both[pair] / count[i]).astype(np.float32),
            weight.astype(np.float32),
        )

    def span(self, code: int) -> slice:
        """Return the positions of a product's pairs."""
        return slice(int(self.ends[code]), int(self.ends[code + 1]))

    def total_weights(self, codes: Int32s) -> Floats:
        """Return for every product the sum of its weights as a partner of `codes`."""
        pair = self._pairs_of(codes)[0]
        weight = self.weight[pair].astype(np.float64)
        totals = np.bincount(self.partner[pair], weights=weight, minlength=len(self.ends) - 1)
        return np.asarray(totals, np.float64)

    def _pairs_of(self, codes: Int32s) -> tuple[Ints, list[int]]:
        """Return positions of the pairs of some products, and the number of pairs of each."""
        spans = [np.arange(self.ends[code], self.ends[code + 1]) for code in codes.tolist()]
        pair = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        return pair, [len(span) for span in spans]

    def basket_partners(self, basket: Int32s) -> "BasketPartners":
        """Add up the weights of all partners of the products in a basket."""
        pair, counts = self._pairs_of(basket)
        if not len(pair):
            return BasketPartners(np.zeros(0, np.int32), np.zeros(0, np.float32), pair, pair)
        origin = np.repeat(basket, counts)
        order = np.lexsort((origin, -self.weight[pair], self.partner[pair]))
        pair, origin = pair[order], origin[order]
        codes, first, inverse = np.unique(
            self.partner[pair], return_index=True, return_inverse=True
        )
        total = np.bincount(inverse, weights=self.weight[pair]).astype(np.float32)
        return BasketPartners(codes.astype(np.int32), total, origin[first], pair[first])


@dataclass(frozen=True)
class BasketPartners:
    """Products associated with any product of a basket.

    Attributes
    ----------
    codes
        Product codes, ascending.
    weight
        Sum of the weights over the products of the basket.
    strongest, pair
        The basket's product with the largest weight, and the position of that pair.
    """

    codes: Int32s
    weight: Float32s
    strongest: NDArray[np.integer[Any]]
    pair: Ints


@dataclass(frozen=True)
class _Pairs:
    """Pairs of products, i before j, with observed and expected numbers of baskets."""

    i: Ints
    j: Ints
    both: Floats
    customers: Floats
    expected: Floats

    @property
    def lift(self) -> Floats:
        lift: Floats = self.both / self.expected
        return lift

    def __getitem__(self, mask: NDArray[Any]) -> "_Pairs":
        return _Pairs(*(getattr(self, name)[mask] for name in _Pairs.__annotations__))


def _baskets(dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> pl.DataFrame:
    orders = net_purchases(dataset, as_of).filter(~nw.col("product_id").is_null())
    lines = orders.select("order_id", "customer_id", "product_id", "ts").collect().to_polars()
    newest = (
        lines.group_by("order_id")
        .agg(pl.col("ts").max(), pl.col("customer_id").first())
        .sort("ts", "order_id", descending=True)
        .head(MOST_BASKETS)
        .with_row_index("basket")
    )
    # Each anonymous basket counts as a customer.
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
    """Keep frequent products in baskets that hold at least two of them."""
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


def _count_pairs(baskets: pl.DataFrame, count: Floats) -> _Pairs:
    """Count baskets and customers with both products of each pair, observed and expected.

    The expected count assumes that products are placed in baskets independently, in proportion
    to their frequency and to the size of the basket. Under equal basket sizes, large baskets
    would make all products look associated.

    Parameters
    ----------
    count
        Number of baskets by product code.
    """
    size = baskets.group_by("basket").len().get_column("len").cast(pl.Float64)
    size_factor = float((size * (size - 1)).sum()) / max(float(size.sum()) ** 2, 1.0)
    # Rows are split by customer, so counts of the parts add up.
    weight = pl.len().over("basket")
    part = (weight.cum_sum() // ROWS_AT_ONCE).last().over("customer").alias("part")
    parts = baskets.sort("customer", "basket", "code").with_columns(part).partition_by("part")
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
    observed = pl.concat(counted).group_by(key).agg(pl.col("both", "customers").sum())
    observed = observed.filter(pl.col("customers") >= MIN_CUSTOMERS).sort(key)
    i, j = (observed.get_column(name).cast(pl.Int64).to_numpy() for name in key)
    return _Pairs(
        i,
        j,
        observed.get_column("both").cast(pl.Float64).to_numpy(),
        observed.get_column("customers").cast(pl.Float64).to_numpy(),
        count[i] * count[j] * size_factor,
    )


def p_values(both: Floats, customers: Floats, expected: Floats) -> Floats:
    """Return the probability of at least as many baskets with both under independence.

    The upper tail of a Poisson count, which exceeds that of Fisher's exact test. Baskets of one
    customer are dependent, so customers are counted instead of baskets, and the expected count
    is scaled by the same ratio.
    """
    p: Floats = gammainc(customers, expected * customers / both)
    return p


def discoveries(p: Floats, tests: int) -> Bools:
    """Mark the p-values to reject at a false discovery rate of `FALSE_DISCOVERY_RATE`.

    Source: Benjamini and Hochberg 1995.

    Parameters
    ----------
    tests
        Number of tests, including pairs that never occur and are not in `p`.
    """
    order = np.argsort(p, kind="stable")
    bound = FALSE_DISCOVERY_RATE * np.arange(1, len(p) + 1) / max(tests, 1)
    below = np.flatnonzero(p[order] <= bound)
    rejected = np.zeros(len(p), bool)
    if len(below):
        rejected[order[: below[-1] + 1]] = True
    return rejected


def _weight(pairs: _Pairs) -> Floats:
    weight: Floats = np.log((pairs.both + SHRINK) / (pairs.expected + SHRINK))
    return weight
