"""All that lists are made from at one instant: candidates, catalogue, and what goes with what.

Publishing writes it, a batch and serving map it into memory; both ask it through `request`
and `goods`.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Int32s
from training.models.recommender.index.association import Association
from training.models.recommender.index.candidate_store import PublishedLists
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.erase import SHELF
from training.models.recommender.index.likely_buyers import Buyers
from training.models.recommender.index.popularity import PopularNow
from training.models.recommender.index.replenishment import ReplenishmentCurve
from training.models.recommender.index.similar_products import Similar


@dataclass(frozen=True)
class RecommenderIndex:
    """One published recommender.

    Attributes
    ----------
    ranked
        Every customer's candidates, which a moment ranks anew.
    catalogue
        What is known of products; its codes are used everywhere on the shelf.
    association, similar, popular, buyers
        What goes together, what is alike, what many buy, and who will.
    rhythm
        When what was bought is wanted again.
    """

    ranked: PublishedLists
    catalogue: Catalogue
    association: Association
    similar: Similar
    popular: PopularNow
    buyers: Buyers
    rhythm: ReplenishmentCurve

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what was published into memory."""
        own = folder / SHELF
        return cls(
            PublishedLists.load(folder),
            Catalogue.load(own),
            Association.load(own),
            Similar.load(own),
            PopularNow.load(own),
            Buyers.load(own),
            ReplenishmentCurve.load(own),
        )

    @cached_property
    def day(self) -> int:
        """The day that answers are about where no other is asked for."""
        return to_day(self.ranked.as_of)

    @cached_property
    def code_of_row(self) -> Int32s:
        """The catalogue's code of each product that candidates are among."""
        codes = self.catalogue.codes
        ids = self.ranked.products.get_column("product_id").to_list()
        return np.array([codes[one] for one in ids], dtype=np.int32)

    @cached_property
    def first_days(self) -> NDArray[np.float32]:
        """Days since each product that candidates are among was first sold; NaN if never."""
        days = self.ranked.products.get_column("first_days")
        return days.cast(pl.Float32).fill_null(np.nan).to_numpy()

    @cached_property
    def due_days(self) -> int:
        """Days within which what is due is likely to be bought: a week in a month."""
        horizon: int = self.ranked.about["horizon_days"]
        return max(round(horizon / 4), 1)

    @cached_property
    def baskets(self) -> list[int]:
        """How many baskets each customer has had."""
        found: list[int] = self.ranked.customers.get_column("baskets").to_list()
        return found

    @cached_property
    def customer_ids(self) -> list[str]:
        """Ids of the customers by their row."""
        found: list[str] = self.ranked.customers.get_column("customer_id").to_list()
        return found


def stock(dataset: Dataset, as_of: datetime, folder: Path, likeliest: pl.DataFrame) -> None:
    """Write what lists need besides the candidates, into the folder that holds those.

    Parameters
    ----------
    likeliest
        Who may buy what, as `Buyers.build` has it.
    """
    own = folder / SHELF
    catalogue = Catalogue.build(dataset, as_of)
    catalogue.save(own)
    ReplenishmentCurve.learn(dataset, as_of, catalogue).save(own)
    Association.build(dataset, as_of, catalogue).save(own)
    Similar.build(dataset, as_of, catalogue).save(own)
    PopularNow.build(dataset, as_of, catalogue).save(own)
    products = pl.read_parquet(folder / "products.parquet", columns=["product_id"])
    codes = np.array([catalogue.codes[one] for one in products.to_series()], np.int32)
    Buyers.build(likeliest, codes, catalogue).save(own)
