"""Customers' usual locations as coded arrays.

Order lines in; where customers buy out.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.dataset import Dataset
from features.interactions.locations import usual_locations
from features.typing import Float32s, Ints
from training.models.recommender.inputs.interactions import Interactions, find_sorted

# Locations per customer; baskets at further locations are ignored.
MAX_LOCATIONS = 3


@dataclass(frozen=True)
class CustomerLocations:
    """Usual locations of customers.

    Attributes
    ----------
    ids
        Locations in ascending order; a position is the code.
    codes, weights
        The `MAX_LOCATIONS` most frequent locations of each customer, the most frequent first,
        and their shares; code -1 with weight 0 where there are fewer.
    """

    ids: NDArray[np.str_]
    codes: Ints
    weights: Float32s

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, interactions: Interactions) -> Self:
        """Collect usual locations; customers have none if orders lack location_id."""
        customers = interactions.shape[0]
        codes = np.full((customers, MAX_LOCATIONS), -1, np.int64)
        weights = np.zeros((customers, MAX_LOCATIONS), np.float32)
        if not dataset.has("orders", "location_id"):
            return cls(np.zeros(0, "U1"), codes, weights)
        usual = usual_locations(dataset, as_of).collect().to_polars()
        ids = usual.get_column("location_id").unique().sort().to_numpy().astype(str)
        if not len(ids):
            return cls(np.zeros(0, "U1"), codes, weights)
        rows = interactions.customer_codes(usual.get_column("customer_id"))
        location = find_sorted(ids, usual.get_column("location_id").to_numpy().astype(str))
        weight = usual.get_column("weight").to_numpy()
        order = np.lexsort((location, -weight, rows))
        rows, location, weight = rows[order], location[order], weight[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = rank < MAX_LOCATIONS
        codes[rows[kept], rank[kept]] = location[kept]
        weights[rows[kept], rank[kept]] = weight[kept]
        totals = np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
        return cls(ids, codes, (weights / totals).astype(np.float32))
