"""Candidates from the categories that the customer buys: other variants, sizes and brands."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from features.typing import Float32s, Ints
from training.models.recommender.candidates.base import DenseScores, RecommenderInputs
from training.models.recommender.inputs.locations import CustomerLocations
from training.models.recommender.inputs.product_groups import finest_group_codes


@dataclass
class SameCategory:
    """The customer's decayed purchases of a category times the product's share of its sales.

    A promotion in the coming week at the customer's most frequent location multiplies the share
    by the placement's uplift. Categories are the finest level of the catalogue; without a
    catalogue all products are one category.
    """

    name: ClassVar[str] = "same_category"
    reason: ClassVar[str] = "same_kind"
    limit: int = 60
    cols_: Ints = field(init=False, repr=False)
    locations_: CustomerLocations = field(init=False, repr=False)
    affinity_: sparse.csr_matrix = field(init=False, repr=False)
    categories_: Ints = field(init=False, repr=False)
    shares_: Float32s = field(init=False, repr=False)

    def fit(self, inputs: RecommenderInputs, cols: Ints) -> Self:
        """Sum purchases by customer and category, and sales by category."""
        interactions = inputs.interactions
        self.cols_, self.locations_ = cols, inputs.locations
        categories = finest_group_codes(inputs.dataset, interactions)
        self.categories_ = categories[cols]
        size = int(categories.max(initial=0)) + 1
        codes = (interactions.rows, categories[interactions.cols])
        bought = sparse.csr_matrix(
            (interactions.features["decay_60d"], codes), (interactions.shape[0], size)
        )
        self.affinity_ = bought.log1p().astype(np.float32)
        recent = interactions.popularity()[cols]
        totals = np.bincount(self.categories_, weights=recent, minlength=size)
        # The root is a compromise between the share of the category, which favours small
        # categories, and sales, which favour large ones.
        share = recent / np.sqrt(totals[self.categories_] + 5.0)
        uplift = 1.0 + inputs.plan.expected_uplift(cols, inputs.day)
        self.shares_ = (share[None, :] * uplift).astype(np.float32)
        return self

    def scores(self, rows: Ints) -> DenseScores:
        """Multiply category affinities with the shares at the most frequent location."""
        affinity = np.asarray(self.affinity_[rows].toarray())[:, self.categories_]
        return DenseScores(self.cols_, affinity * self.shares_[self.locations_.codes[rows, 0]])
