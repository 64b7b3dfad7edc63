"""Next-category baselines: the Kaplan-Meier curve of the category, and modified BG/NBD.

Both return the columns of the model's predictions, without explanations.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.dataset import Dataset
from features.typing import Floats
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import CUTOFF_STEP_DAYS, kaplan_meier
from training.estimators.bg_nbd import ModifiedBgNbd
from training.models.next_category.cutoffs import leading_categories, pairs, past_cutoffs
from training.models.next_category.person_periods import process_input

CATEGORIES, CUTOFFS = 40, 6


def _predictions(features: pl.DataFrame, curves: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    answers = PurchaseCurves.daily(curves).answers(features.select(KEY))
    return answers if ids is None else ids.join(answers, on=KEY, maintain_order="left")


@dataclass
class CategoryCurve:
    """The Kaplan-Meier curve of the category, the same for each of its customers."""

    horizon_days: int = 56
    categories_: list[str] = field(init=False, repr=False)
    curves_: dict[str, Floats] = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Estimate a curve of each category on past cutoffs."""
        self.categories_ = leading_categories(dataset, as_of, CATEGORIES)
        cutoffs = past_cutoffs(
            dataset,
            as_of,
            self.categories_,
            self.horizon_days,
            step=CUTOFF_STEP_DAYS,
            count=CUTOFFS,
        )
        categories = pl.concat(cutoff.features.get_column("category") for cutoff in cutoffs)
        days = np.concatenate([cutoff.days_to_purchase for cutoff in cutoffs])
        purchased = np.concatenate([cutoff.purchased for cutoff in cutoffs])
        self.curves_ = {}
        for name in self.categories_:
            rows = (categories == name).to_numpy()
            self.curves_[name] = kaplan_meier(days[rows], purchased[rows], self.horizon_days)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = pairs(dataset, as_of, self.categories_)
        curves = np.stack([self.curves_[name] for name in features.get_column("category")])
        return _predictions(features, curves, ids)


@dataclass
class ModifiedBgNbdCurve:
    """The distribution of the next purchase under modified BG/NBD, fitted to all pairs."""

    horizon_days: int = 56
    categories_: list[str] = field(init=False, repr=False)
    process_: ModifiedBgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what is known at `as_of`."""
        self.categories_ = leading_categories(dataset, as_of, CATEGORIES)
        features = pairs(dataset, as_of, self.categories_)
        self.process_ = ModifiedBgNbd.fit(*process_input(features))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = pairs(dataset, as_of, self.categories_)
        frequency, recency, age = (values[:, None] for values in process_input(features))
        days = np.arange(1, self.horizon_days + 1)[None, :]
        curves = 1 - self.process_.inactivity(frequency, recency, age, days)
        return _predictions(features, curves, ids)
