"""Customers' usual locations, as arrays to look up in.

Order lines in; who buys where and what sells there out. What is promoted there: `place_plan`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.dataset import Dataset
from features.interactions.locations import local_sales, usual_locations
from features.typing import Float32s, Ints
from training.models.recommender.inputs.interactions import Interactions, find_sorted

# A customer is at one of so many locations; the rest of their baskets are forgotten.
USUAL = 3


@dataclass(frozen=True)
class Places:
    """Where customers buy.

    Attributes
    ----------
    ids
        Locations in ascending order; a position is the code.
    codes, weights
        Of each customer's `USUAL` locations, the most frequent first; -1 with weight 0 where
        there are fewer.
    """

    ids: NDArray[np.str_]
    codes: Ints
    weights: Float32s

    @classmethod
    def at(cls, dataset: Dataset, as_of: datetime, known: Interactions) -> Self:
        """Collect them; without locations in the orders nobody has any."""
        customers = known.shape[0]
        codes = np.full((customers, USUAL), -1, np.int64)
        weights = np.zeros((customers, USUAL), np.float32)
        if not dataset.has("orders", "location_id"):
            return cls(np.zeros(0, "U1"), codes, weights)
        found = usual_locations(dataset, as_of).collect().to_polars()
        ids = found.get_column("location_id").unique().sort()
        names = ids.to_numpy().astype(str)
        if not len(names):
            return cls(np.zeros(0, "U1"), codes, weights)
        rows = known.codes(found.get_column("customer_id"))
        where = find_sorted(names, found.get_column("location_id").to_numpy().astype(str))
        worth = found.get_column("weight").to_numpy()
        order = np.lexsort((where, -worth, rows))
        rows, where, worth = rows[order], where[order], worth[order]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = place < USUAL
        codes[rows[kept], place[kept]] = where[kept]
        weights[rows[kept], place[kept]] = worth[kept]
        totals = np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
        return cls(names, codes, (weights / totals).astype(np.float32))

    def sales(self, dataset: Dataset, as_of: datetime, known: Interactions) -> sparse.csr_matrix:
        """Orders with each product at each location of late, shape (locations, products)."""
        shape = (len(self.ids), known.shape[1])
        if not len(self.ids):
            return sparse.csr_matrix(shape, dtype=np.float32)
        found = local_sales(dataset, as_of).collect().to_polars()
        at = find_sorted(self.ids, found.get_column("location_id").to_numpy().astype(str))
        what = find_sorted(known.products, found.get_column("product_id").to_numpy().astype(str))
        good = (at >= 0) & (what >= 0)
        counts = found.get_column("orders").to_numpy()[good].astype(np.float32)
        return sparse.csr_matrix((counts, (at[good], what[good])), shape=shape)
