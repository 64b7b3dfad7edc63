"""Next-category model: the distribution of the days until a customer buys from a category again.

A dataset and an instant go in; quantiles, probabilities and explanations of customers and
categories with three purchases or more come out. The model is a discrete-time hazard, trained on
pairs at past cutoffs.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from features.typing import Floats, Ints
from training.contract import Needs
from training.customers import model_file
from training.customers.explanations import (
    Explanation,
    Usual,
    explanation_columns,
    explanation_rows,
)
from training.customers.hazard import Hazard, Periods
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import CUTOFF_STEP_DAYS, check_horizon
from training.estimators.bg_nbd import ModifiedBgNbd
from training.estimators.boosting import Booster, BoostingOptions
from training.models.next_category.cutoffs import (
    leading_categories,
    pairs,
    past_cutoffs,
)
from training.models.next_category.explanations import WORDING
from training.models.next_category.person_periods import bin_edges, expand, process_input

# Explanations are read off the hazard of these days ahead.
EXPLAINED_DAYS = (0, 6, 12)
BOOSTER = "booster"

TREES = BoostingOptions(
    learning_rate=0.07,
    num_leaves=24,
    min_data_in_leaf=200,
    feature_fraction=0.5,
    lambda_l2=10.0,
)


@dataclass
class NextCategoryModel:
    """Discrete-time hazard by LightGBM on a sample of person-periods in two-day bins.

    Attributes
    ----------
    horizon_days
        Days of follow-up; the distribution is censored there.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    categories
        Number of categories that are predicted: those with the most repeat customers.
    cutoffs, cutoff_step_days
        Number of past cutoffs, and the days between them.
    periods
        Size of the random sample of person-periods.
    rounds
        Number of trees.
    trees
        Options of the trees.
    """

    name: ClassVar[str] = "next-category"
    needs: ClassVar[Needs] = Needs(
        required={
            "orders": ("customer_id", "product_id", "day"),
            "products": ("product_id", "category"),
        }
    )

    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    categories: int = 40
    cutoffs: int = 6
    cutoff_step_days: int = CUTOFF_STEP_DAYS
    periods: int = 400_000
    rounds: int = 75
    trees: BoostingOptions = TREES
    hazard_: Hazard = field(init=False, repr=False)
    process_: ModifiedBgNbd = field(init=False, repr=False)
    categories_: list[str] = field(init=False, repr=False)
    curves_: Floats = field(init=False, repr=False)
    usual_: Usual = field(init=False, repr=False)

    def features(
        self, dataset: Dataset, as_of: datetime, statistics: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer and category.

        Parameters
        ----------
        dataset, as_of
            The records, of which those before `as_of` are known.
        statistics
            `cutoffs.category_statistics` of all customers, for a dataset of only a few customers.
        """
        return pairs(dataset, as_of, self.categories_, statistics=statistics)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs, each with follow-up of one horizon or until `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        InvalidInput
            If the horizon is shorter than that of the longest published probability.
        """
        self.needs.check(dataset, self.name)
        check_horizon(self.horizon_days)
        self.categories_ = leading_categories(dataset, as_of, self.categories)
        cutoffs = past_cutoffs(
            dataset,
            as_of,
            self.categories_,
            self.horizon_days,
            step=self.cutoff_step_days,
            count=self.cutoffs,
        )
        features = self.features(dataset, as_of)
        if features.is_empty():
            raise MissingData(
                f"{self.name} needs customers who return to a category, and dataset {dataset.name} "
                f"has none before {as_of.date()}. Import a longer history, or leave it out.",
                field="orders",
            )
        self.process_ = ModifiedBgNbd.fit(*process_input(features))
        periods = Periods.after(cutoffs, bin_edges(self.horizon_days))
        self.hazard_ = Hazard.fit(
            periods.sample(self.periods, self.seed),
            self._expand,
            self.trees.params(),
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )
        self.curves_ = np.stack(
            [
                periods.life_table(
                    [(c.features.get_column("category") == name).to_numpy() for c in cutoffs]
                )
                for name in self.categories_
            ]
        )
        self.usual_ = Usual.measure(self.features(dataset, as_of), self._contributions)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for customers and categories, by default all with enough history.

        Returns
        -------
        polars.DataFrame
            customer_id, category, expected_days, q10, q50, q90, p_within_7, p_within_14,
            p_within_30, explanations and contributions, as of `NextPurchaseModel.predict`. A
            customer without enough history of a category gets the category's distribution.

        Raises
        ------
        InvalidInput
            If the model does not predict a category.
        """
        features = self.features(dataset, as_of)
        if ids is None:
            return self.answers(features, self.curves(features))
        requested = ids.select(KEY)
        self._check_categories(requested)
        features = features.join(requested.unique(), on=KEY, how="semi")
        known = self.answers(features, self.curves(features))
        new = requested.join(known, on=KEY, how="anti").unique(maintain_order=True)
        answers = pl.concat([known, self._category_answers(new)])
        return requested.join(answers, on=KEY, how="left", maintain_order="left")

    def predict_category(self, category: str) -> dict[str, Any]:
        """Predict for a customer without enough history of a category: its distribution."""
        key = pl.DataFrame({"customer_id": [""], "category": [category]})
        return self._category_answers(key).row(0, named=True)

    def answers(self, features: pl.DataFrame, curves: PurchaseCurves) -> pl.DataFrame:
        """Return the columns of `predict` from rows of `features` and their curves."""
        explanations = explanation_columns(self._explanations(features))
        return curves.answers(features.select(KEY)).with_columns(explanations)

    def curves(self, features: pl.DataFrame) -> PurchaseCurves:
        """Return the curves of customers and categories."""
        return PurchaseCurves.daily(
            self.hazard_.curves(features), self.process_, process_input(features)
        )

    def category_curves(self, categories: Iterable[str]) -> PurchaseCurves:
        """Return the curves of categories, for customers without enough history of them."""
        rows = [self.categories_.index(name) for name in categories]
        # Extrapolated as after two repeat purchases.
        history = (np.full(len(rows), 2.0), np.zeros(len(rows)), np.ones(len(rows)))
        return PurchaseCurves.daily(self.curves_[rows], self.process_, history)

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a pair and reason; `contribution` in log-odds of buying in a bin."""
        self._check_categories(ids)
        features = self.features(dataset, as_of).join(ids.select(KEY), on=KEY, how="semi")
        return explanation_rows(features.select(KEY), self._explanations(features))

    def save(self, folder: Path) -> None:
        """Write options, fitted values and the booster."""
        fitted = {
            "process": asdict(self.process_),
            "categories": self.categories_,
            "curves": self.curves_.tolist(),
            "usual": asdict(self.usual_),
        }
        model_file.write(self, folder, fitted)
        self.hazard_.save(folder / BOOSTER)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        booster = Booster.load(folder / BOOSTER, model.threads)
        model.hazard_ = Hazard(booster, bin_edges(model.horizon_days), model._expand)
        model.process_ = ModifiedBgNbd(**fitted["process"])
        model.categories_ = fitted["categories"]
        model.curves_ = np.array(fitted["curves"]).reshape(-1, model.horizon_days)
        model.usual_ = Usual(**fitted["usual"])
        return model

    def _category_answers(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the categories' distributions for customers without enough history."""
        explanations = explanation_columns([[]] * keys.height)
        curves = self.category_curves(keys.get_column("category"))
        return curves.answers(keys).with_columns(explanations)

    def _explanations(self, features: pl.DataFrame) -> list[list[Explanation]]:
        return self.usual_.explanations(self._contributions(features), features, WORDING)

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        return self.hazard_.contributions(features, EXPLAINED_DAYS)

    def _check_categories(self, ids: pl.DataFrame) -> None:
        unknown = ids.filter(~pl.col("category").is_in(self.categories_))
        if not unknown.is_empty():
            raise unknown_category(unknown.get_column("category")[0], self.categories_)

    def _expand(self, features: pl.DataFrame, rows: Ints, bins: Ints) -> pl.DataFrame:
        return expand(features, bin_edges(self.horizon_days), rows, bins)


def unknown_category(name: str, categories: list[str]) -> InvalidInput:
    """Return the error for a category that the model does not predict."""
    return InvalidInput(
        f"category = {name!r} is not answered for; there is {', '.join(categories)}.",
        field="category",
    )
