"""Candidates by sales in the same weeks of the previous year."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.calendar import day_start, to_day
from features.interactions.locations import sales_between
from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs
from training.models.recommender.inputs.interactions import find_sorted

# A year in whole weeks, so that weekdays agree.
YEAR_DAYS = 364
AHEAD_DAYS = 28


@dataclass
class Seasonal:
    """Orders of the coming weeks a year ago; zero if the dataset is shorter than a year."""

    name: ClassVar[str] = "seasonal"
    reason: ClassVar[str] = "seasonal"
    limit: int = 30
    cols_: Ints = field(init=False, repr=False)
    orders_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Count the orders with each of `cols`."""
        self.cols_ = cols
        first = to_day(inputs.as_of) - YEAR_DAYS
        self.orders_ = np.zeros(len(cols), np.float32)
        if first < inputs.dataset.days[0]:
            return self
        weeks = (day_start(first), day_start(first + AHEAD_DAYS))
        sales = sales_between(inputs.dataset, *weeks).collect().to_polars()
        ids = sales.get_column("product_id").to_numpy().astype(str)
        column = find_sorted(inputs.interactions.products[cols], ids)
        known = column >= 0
        np.add.at(self.orders_, column[known], sales.get_column("orders").to_numpy()[known])
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Repeat the counts for each customer."""
        shape = (len(rows), len(self.cols_))
        return DenseScores(self.cols_, np.broadcast_to(self.orders_, shape))
