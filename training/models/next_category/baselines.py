"""What the next purchase from a category must beat: the category's curve and modified BG/NBD."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.dataset import Dataset
from features.typing import Floats
from training.customers.survival import answers_from
from training.estimators.bg_nbd import ModifiedBgNbd
from training.models.next_category.cutoffs import followed_pairs, leading_categories, pairs

CATEGORIES, CUTS, STEP_DAYS = 40, 6, 14


def _answer(features: pl.DataFrame, curves: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    read = answers_from(features.get_column("customer_id"), curves)
    answer = read.insert_column(1, features.get_column("category"))
    return answer if ids is None else ids.join(answer, on=KEY, maintain_order="left")


@dataclass
class CategoryCurve:
    """The same curve for all customers of a category (Kaplan and Meier 1958)."""

    horizon_days: int = 56
    names_: list[str] = field(init=False, repr=False)
    curves_: dict[str, Floats] = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Estimate a curve a category on followed cuts."""
        self.names_ = leading_categories(dataset, as_of, CATEGORIES)
        cuts = followed_pairs(
            dataset, as_of, self.names_, self.horizon_days, step=STEP_DAYS, count=CUTS
        )
        self.curves_ = {}
        for name in self.names_:
            of = [(cut.features.get_column("category") == name).to_numpy() for cut in cuts]
            days = np.concatenate([cut.days[rows] for cut, rows in zip(cuts, of, strict=True)])
            bought = np.concatenate([cut.bought[rows] for cut, rows in zip(cuts, of, strict=True)])
            events = np.bincount(days[bought], minlength=self.horizon_days)[: self.horizon_days]
            lived = np.array([(days > day).sum() for day in range(self.horizon_days)]) + events
            self.curves_[name] = np.asarray(1 - np.cumprod(1 - events / np.maximum(lived, 1)))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = pairs(dataset, as_of, self.names_)
        curves = np.stack([self.curves_[name] for name in features.get_column("category")])
        return _answer(features, curves, ids)


@dataclass
class ModifiedBgNbdCurve:
    """The distribution of the next purchase under modified BG/NBD, fitted to all pairs."""

    horizon_days: int = 56
    names_: list[str] = field(init=False, repr=False)
    process_: ModifiedBgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what was known at `as_of`."""
        self.names_ = leading_categories(dataset, as_of, CATEGORIES)
        self.process_ = ModifiedBgNbd.fit(*_numbers(pairs(dataset, as_of, self.names_)))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = pairs(dataset, as_of, self.names_)
        frequency, recency, age = (values[:, None] for values in _numbers(features))
        days = np.arange(1, self.horizon_days + 1)[None, :]
        return _answer(features, 1 - self.process_.inactivity(frequency, recency, age, days), ids)


def _numbers(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    purchases, tenure, recency = (
        features.get_column(name).to_numpy() for name in ("purchases", "tenure", "recency")
    )
    return purchases - 1, tenure - recency, tenure
