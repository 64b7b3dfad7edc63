"""What sold in the weeks ahead a year ago more than at other times."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from features.calendar import day_start, to_day
from features.interactions.locations import sales_between
from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs
from training.models.recommender.inputs.interactions import find_sorted

# A year back in whole weeks, so that weekdays agree.
YEAR_DAYS = 364
AHEAD_DAYS = 28


@dataclass
class Seasonal:
    """Orders of the same weeks a year ago, for products still sold; nothing in a first year."""

    name: ClassVar[str] = "seasonal"
    reason: ClassVar[str] = "seasonal"
    limit: int = 30
    cols_: Ints = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Count orders."""
        self.cols_ = cols
        first = to_day(moment.as_of) - YEAR_DAYS
        self.shares_ = np.zeros(len(cols), np.float32)
        if first < moment.dataset.days[0]:
            return self
        weeks = (day_start(first), day_start(first + AHEAD_DAYS))
        then = sales_between(moment.dataset, *weeks).collect().to_polars()
        codes = find_sorted(
            moment.known.products[cols], then.get_column("product_id").to_numpy().astype(str)
        )
        np.add.at(self.shares_, codes[codes >= 0], then.get_column("orders").to_numpy()[codes >= 0])
        return self

    def scores(self, rows: Ints) -> Dense:
        """Repeat the counts for each customer."""
        return Dense(self.cols_, np.broadcast_to(self.shares_, (len(rows), len(self.cols_))))
