"""Who will buy a product: the ranked candidates seen from the product's side."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Float32s, Int32s
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

# Customers kept of each product.
KEPT = 1000


@dataclass(frozen=True)
class Buyers(arrays.StoredArrays):
    """Customers by product, the likeliest to buy it within the horizon first.

    Attributes
    ----------
    ends
        Where each product's customers end, with a zero in front.
    customer
        Rows of the customers in what is published.
    chance
        Of buying it within the horizon.
    again
        Whether they bought it before.
    """

    prefix: ClassVar[str] = "buyer"

    ends: NDArray[np.int64]
    customer: Int32s
    chance: Float32s
    again: NDArray[np.bool_]

    @classmethod
    def build(cls, likeliest: pl.DataFrame, codes: Int32s, catalogue: Catalogue) -> Self:
        """Turn customers' candidates around.

        Parameters
        ----------
        likeliest
            Rows of customers and products in what is published, `row` and `col`, the chance to
            be bought within the horizon, `month`, and whether it was bought before, `again`.
        codes
            The catalogue's code of each product by its row.
        """
        code = pl.Series("code", codes[likeliest.get_column("col").to_numpy()])
        rows = first_of_each(likeliest.with_columns(code), "code")
        return cls(
            group_boundaries(rows.get_column("code").cast(pl.Int64).to_numpy(), catalogue.size),
            rows.get_column("row").cast(pl.Int32).to_numpy(),
            rows.get_column("month").cast(pl.Float32).to_numpy(),
            rows.get_column("again").to_numpy(),
        )

    def span(self, code: int) -> slice:
        """Where the customers of a product are."""
        return slice(int(self.ends[code]), int(self.ends[code + 1]))


def first_of_each(likeliest: pl.DataFrame, product: str) -> pl.DataFrame:
    """Keep the `KEPT` likeliest customers of each product, the likeliest first.

    Parameters
    ----------
    product
        The column that tells products apart.
    """
    ordered = likeliest.sort(product, "month", "row", descending=[False, True, False])
    return ordered.filter(pl.int_range(pl.len()).over(product) < KEPT)
