"""Next-purchase model: the distribution of the days until a customer buys again.

A dataset and an instant go in; quantiles, probabilities and explanations of every customer with a
purchase come out. The distribution is the curve whose value at the churn horizon is churn.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import polars as pl

from features.dataset import Dataset
from training.contract import Needs
from training.customers import model_file
from training.customers.cutoffs import customer_features
from training.customers.explanations import (
    Explanation,
    Usual,
    explanation_columns,
    explanation_rows,
)
from training.customers.feature_phrases import PURCHASE_WORDING
from training.customers.prediction import predict_customers
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import PurchaseTiming
from training.customers.survival import check_horizon
from training.customers.timing_training import BOOSTING, TimingOptions, fit_purchase_timing
from training.estimators.boosting import BoostingOptions

TIMING = "timing"


@dataclass
class NextPurchaseModel:
    """The timing of the next purchase (`training.customers.purchase_timing`).

    The probability of a purchase within any days increases with visits and decreases with
    inactivity; it is calibrated and explained at the usual horizon of churn. Where records are
    shorter than two such horizons, the model is BG/NBD and MBG/NBD.

    Attributes
    ----------
    horizon_days
        Days of follow-up; beyond them the distribution is extrapolated.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cutoffs
        Number of past cutoffs at most.
    rounds
        Number of trees.
    trees
        Options of the trees.
    explain_attributes
        Whether explanations may name attributes of customers, such as age.
    """

    name: ClassVar[str] = "next-purchase"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    cutoffs: int = 12
    rounds: int = 200
    trees: BoostingOptions = BOOSTING
    explain_attributes: bool = False
    timing_: PurchaseTiming = field(init=False, repr=False)
    usual_: Usual = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return customer_features(dataset, as_of)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        InvalidInput
            If the horizon is shorter than that of the longest published probability.
        """
        self.needs.check(dataset, self.name)
        check_horizon(self.horizon_days)
        options = TimingOptions(
            trees=self.trees,
            rounds=self.rounds,
            cutoffs=self.cutoffs,
            seed=self.seed,
            threads=self.threads,
        )
        self.timing_ = fit_purchase_timing(
            dataset, as_of, options, follow_up_days=self.horizon_days
        )
        self.usual_ = Usual.measure(self.features(dataset, as_of), self._contributions)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, the columns of `PurchaseCurves.columns`, explanations (see
            `Usual.explanations`) and contributions (of each explanation, in log-odds of a purchase
            within the churn horizon). Customers without a purchase get the distribution of
            customers with few visits, unexplained.
        """
        return predict_customers(
            self.features(dataset, as_of), ids, self.predict_from, self.predict_new
        )

    def predict_from(
        self, features: pl.DataFrame, curves: PurchaseCurves | None = None
    ) -> pl.DataFrame:
        """Predict from rows of `features`, and their curves where they are known."""
        curves = self.timing_.curves(features) if curves is None else curves
        answers = curves.columns()
        return pl.concat([self.explained(features), answers], how="horizontal").select(
            "customer_id", *answers.columns, "explanations", "contributions"
        )

    def explained(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return customer_id, explanations and contributions from rows of `features`."""
        explanations = explanation_columns(self._explanations(features))
        return pl.DataFrame([features.get_column("customer_id"), *explanations])

    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""
        ids = pl.DataFrame({"customer_id": customer_ids}, schema={"customer_id": pl.String})
        answers = self.timing_.newcomers(len(ids)).answers(ids)
        return answers.with_columns(explanation_columns([[]] * len(ids)))

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason; `contribution` as in `predict`."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(features.select("customer_id"), self._explanations(features))

    def save(self, folder: Path) -> None:
        """Write options, what is usual, and the timing of the next purchase."""
        model_file.write(self, folder, {"usual": asdict(self.usual_)})
        self.timing_.save(folder / TIMING)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.timing_ = PurchaseTiming.load(folder / TIMING, model.threads)
        model.usual_ = Usual(**fitted["usual"])
        return model

    def _explanations(self, features: pl.DataFrame) -> list[list[Explanation]]:
        return self.usual_.explanations(
            self._contributions(features),
            features,
            PURCHASE_WORDING,
            attributes=self.explain_attributes,
        )

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return each feature's contribution to a purchase: the opposite of that to churn."""
        return self.timing_.contributions(features).select(-pl.all())
