"""Collaborative filtering by implicit: factors of customers and products."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import Dense, RecommenderInputs


@dataclass
class Als:
    """Weighted factorisation of log counts (Hu, Koren and Volinsky 2008), by implicit.

    Few factors find the taste that many blur: they serve to explore, and what a customer
    buys again other sources know better.
    """

    name: ClassVar[str] = "als"
    reason: ClassVar[str] = "similar"
    limit: int = 40
    factors: int = 32
    iterations: int = 6
    regularization: float = 1.0
    cols_: Ints = field(init=False, repr=False)
    customers_: NDArray[np.float32] = field(init=False, repr=False)
    products_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:
        """Factorise."""
        self.cols_ = cols
        counts = moment.known.matrix(np.log1p(moment.known.pairs["baskets"]), cols)
        with threadpool_limits(1):
            model = AlternatingLeastSquares(
                factors=self.factors,
                iterations=self.iterations,
                regularization=self.regularization,
                random_state=0,
                num_threads=1,
            )
            model.fit(counts.astype(np.float32), show_progress=False)
        self.customers_, self.products_ = model.user_factors, model.item_factors
        return self

    def scores(self, rows: Ints) -> Dense:
        """Multiply the factors, customer by customer, so that blocks do not matter."""
        found: Float32s = np.empty((len(rows), len(self.cols_)), np.float32)
        for at, row in enumerate(rows):
            found[at] = self.products_ @ self.customers_[row]
        return Dense(self.cols_, found)
