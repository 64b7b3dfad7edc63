"""Likely buyers: the ranked candidates of customers, inverted to customers by product."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl

from features.typing import Bools, Float32s, Int32s, Ints
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

# Customers kept per product.
MOST_BUYERS = 1000

# Columns of likely purchases: rows of the customer and the product in the candidate store,
# probability of a purchase within the horizon, and whether the customer bought the product before.
LIKELY_PURCHASES = {
    "customer": pl.Int64,
    "product": pl.Int64,
    "probability": pl.Float64,
    "bought_before": pl.Boolean,
}


@dataclass(frozen=True)
class LikelyBuyers(arrays.StoredArrays):
    """Customers by product, in descending order of probability.

    Attributes
    ----------
    ends
        Offsets: the customers of product code p are `[ends[p], ends[p + 1])`.
    customer
        Rows of the customers in the candidate store.
    probability
        Probability of a purchase within the horizon.
    bought_before
        Whether the customer bought the product before.
    """

    prefix: ClassVar[str] = "buyer"

    ends: Ints
    customer: Int32s
    probability: Float32s
    bought_before: Bools

    @classmethod
    def build(cls, purchases: pl.DataFrame, codes: Int32s, catalogue: Catalogue) -> Self:
        """Select the likeliest buyers of each product.

        Parameters
        ----------
        purchases
            Likely purchases, with the columns of `LIKELY_PURCHASES`.
        codes
            Catalogue code of each product row.
        """
        code = pl.Series("code", codes[purchases.get_column("product").to_numpy()])
        rows = top_buyers(purchases.with_columns(code), "code")
        return cls(
            group_boundaries(rows.get_column("code").cast(pl.Int64).to_numpy(), catalogue.size),
            rows.get_column("customer").cast(pl.Int32).to_numpy(),
            rows.get_column("probability").cast(pl.Float32).to_numpy(),
            rows.get_column("bought_before").to_numpy(),
        )

    def span(self, code: int) -> slice:
        """Return the positions of a product's customers."""
        return slice(int(self.ends[code]), int(self.ends[code + 1]))

    def keep(self, kept: Bools) -> Self:
        """Drop customers and renumber the rows of the others.

        Parameters
        ----------
        kept
            Mask over the customers of the candidate store.
        """
        stays = kept[self.customer]
        products = len(self.ends) - 1
        owners = np.repeat(np.arange(products), np.diff(self.ends))[stays]
        rows = (np.cumsum(kept) - 1).astype(np.int32)
        return type(self)(
            group_boundaries(owners, products),
            rows[self.customer[stays]],
            self.probability[stays],
            self.bought_before[stays],
        )


def top_buyers(purchases: pl.DataFrame, product: str) -> pl.DataFrame:
    """Keep the `MOST_BUYERS` likeliest purchases of each product, in descending order.

    Parameters
    ----------
    product
        Name of the column that identifies products.
    """
    ordered = purchases.sort(product, "probability", "customer", descending=[False, True, False])
    return ordered.filter(pl.int_range(pl.len()).over(product) < MOST_BUYERS)
