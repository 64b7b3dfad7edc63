"""Index of a published recommender: candidates of customers, and tables of products.

A dataset and published candidates in; the index on disk out, memory-mapped by serving and batch.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Float32s, Int32s
from training.models.recommender.index.association import Association
from training.models.recommender.index.candidate_store import CandidateStore, load_product_ids
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.likely_buyers import LikelyBuyers
from training.models.recommender.index.popularity import PopularProducts
from training.models.recommender.index.replenishment import ReplenishmentCurve
from training.models.recommender.index.similar_products import SimilarProducts

# Folder, within the published one, of all parts but the candidates.
INDEX = "index"


@dataclass(frozen=True)
class RecommenderIndex:
    """One published recommender.

    Attributes
    ----------
    candidates
        Candidates of every customer.
    catalogue
        Products; its codes identify products in all other parts but the candidates.
    association, similar, popular, buyers
        Products bought together, similar products, popular products, likely buyers of products.
    replenishment
        Hazard of repurchase.
    """

    candidates: CandidateStore
    catalogue: Catalogue
    association: Association
    similar: SimilarProducts
    popular: PopularProducts
    buyers: LikelyBuyers
    replenishment: ReplenishmentCurve

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map a published folder into memory."""
        index = folder / INDEX
        return cls(
            CandidateStore.load(folder),
            Catalogue.load(index),
            Association.load(index),
            SimilarProducts.load(index),
            PopularProducts.load(index),
            LikelyBuyers.load(index),
            ReplenishmentCurve.load(index),
        )

    @cached_property
    def day(self) -> int:
        """Day of `as_of`, the default day of requests."""
        return to_day(self.candidates.as_of)

    @cached_property
    def code_of_row(self) -> Int32s:
        """Catalogue code of each product row of the candidates."""
        codes = self.catalogue.codes
        ids = self.candidates.products.get_column("product_id").to_list()
        return np.array([codes[product] for product in ids], dtype=np.int32)

    @cached_property
    def first_days(self) -> Float32s:
        """Days since the first sale of each product row of the candidates; NaN if never sold."""
        days = self.candidates.products.get_column("first_days")
        return days.cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def due_days(self) -> int:
        """Days ahead within which a due product is likely to be bought: a quarter of the horizon.

        A week for a horizon of 28 days.
        """
        return max(round(self.candidates.about.horizon_days / 4), 1)

    @cached_property
    def baskets(self) -> list[int]:
        """Number of baskets, by customer row."""
        baskets: list[int] = self.candidates.customers.get_column("baskets").to_list()
        return baskets

    @cached_property
    def customer_ids(self) -> list[str]:
        """Customer ids, by row."""
        ids: list[str] = self.candidates.customers.get_column("customer_id").to_list()
        return ids


def build_index(
    dataset: Dataset, as_of: datetime, folder: Path, likely_purchases: pl.DataFrame
) -> None:
    """Write all parts of the index but the candidates, which are in `folder`.

    Parameters
    ----------
    likely_purchases
        Columns as in `likely_buyers.LIKELY_PURCHASES`.
    """
    index = folder / INDEX
    catalogue = Catalogue.build(dataset, as_of)
    catalogue.save(index)
    ReplenishmentCurve.fit(dataset, as_of, catalogue).save(index)
    Association.build(dataset, as_of, catalogue).save(index)
    SimilarProducts.build(dataset, as_of, catalogue).save(index)
    PopularProducts.build(dataset, as_of, catalogue).save(index)
    codes = np.array([catalogue.codes[product] for product in load_product_ids(folder)], np.int32)
    LikelyBuyers.build(likely_purchases, codes, catalogue).save(index)
