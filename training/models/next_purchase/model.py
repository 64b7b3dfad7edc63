"""Next-purchase model: the distribution of the days until a customer buys again.

A dataset and an instant go in; quantiles, probabilities and explanations of every customer with a
purchase come out. The distribution is the curve whose value at the churn horizon is churn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

import polars as pl

from features.dataset import Dataset
from training.customers.explanations import Usual, Wording, explanation_columns
from training.customers.feature_phrases import PURCHASE_WORDING
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import check_horizon
from training.customers.timing_model import TimingModel
from training.customers.timing_training import fit_purchase_timing


@dataclass
class NextPurchaseModel(TimingModel):
    """The curve of the next purchase.

    `horizon_days` are the days of follow-up; beyond them the distribution is extrapolated. The
    probability of a purchase within any days increases with visits and decreases with inactivity;
    it is calibrated and explained at the usual horizon of churn. For options, see `TimingModel`.
    """

    name: ClassVar[str] = "next-purchase"
    wording: ClassVar[Wording] = PURCHASE_WORDING

    horizon_days: int = 56

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
        self.timing_ = fit_purchase_timing(
            dataset, as_of, self._timing_options(), follow_up_days=self.horizon_days
        )
        self.usual_ = Usual.measure(self.features(dataset, as_of), self.contributions)
        return self

    def predict_from(
        self,
        features: pl.DataFrame,
        curves: PurchaseCurves | None = None,
        timing_parts: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """Predict from rows of `features`, with their curves and parts where known.

        Returns
        -------
        polars.DataFrame
            customer_id, the columns of `PurchaseCurves.columns`, explanations (see
            `Usual.explanations`) and contributions (of each explanation, in log-odds of a purchase
            within the churn horizon).
        """
        curves = self.timing_.curves(features) if curves is None else curves
        answers = curves.columns()
        return pl.concat(
            [self.explained(features, timing_parts), answers], how="horizontal"
        ).select("customer_id", *answers.columns, "explanations", "contributions")

    def explained(
        self, features: pl.DataFrame, timing_parts: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return customer_id, explanations and contributions from rows of `features`."""
        explanations = explanation_columns(self.explanations(features, timing_parts))
        return pl.DataFrame([features.get_column("customer_id"), *explanations])

    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""
        ids = pl.DataFrame({"customer_id": customer_ids}, schema={"customer_id": pl.String})
        answers = self.timing_.newcomers(len(ids)).answers(ids)
        return answers.with_columns(explanation_columns([[]] * len(ids)))
