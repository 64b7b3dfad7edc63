"""Candidates by matrix factorisation with implicit's ALS."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs


@dataclass
class Als:
    """Weighted factorisation of log counts (Hu, Koren and Volinsky 2008), by implicit.

    Few factors generalise to products that are new to the customer; repeat purchases are left
    to other generators.
    """

    name: ClassVar[str] = "als"
    reason: ClassVar[str] = "similar"
    limit: int = 40
    factors: int = 32
    iterations: int = 6
    regularization: float = 1.0
    cols_: Ints = field(init=False, repr=False)
    customer_factors_: Float32s = field(init=False, repr=False)
    product_factors_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Factorise the counts of `cols`."""
        self.cols_ = cols
        interactions = inputs.interactions
        counts = interactions.matrix(np.log1p(interactions.features["baskets"]), cols)
        with threadpool_limits(1):
            model = AlternatingLeastSquares(
                factors=self.factors,
                iterations=self.iterations,
                regularization=self.regularization,
                random_state=0,
                num_threads=1,
            )
            model.fit(counts.astype(np.float32), show_progress=False)
        self.customer_factors_, self.product_factors_ = model.user_factors, model.item_factors
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Multiply factors customer by customer: rounding does not depend on the block."""
        scores: Float32s = np.empty((len(rows), len(self.cols_)), np.float32)
        for position, row in enumerate(rows):
            scores[position] = self.product_factors_ @ self.customer_factors_[row]
        return DenseScores(self.cols_, scores)
