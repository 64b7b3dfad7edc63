"""Next-purchase baselines: Kaplan-Meier, the median gap, BG/NBD, and survival regressions.

Kaplan-Meier and the regressions are fitted to past cutoffs with follow-up, as the model is; all
return the columns of the model's predictions, without explanations.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.errors import MissingData
from features.typing import Floats
from training.customers.cutoffs import customer_features, past_cutoffs
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import CUTOFF_STEP_DAYS, kaplan_meier
from training.estimators.bg_nbd import BgNbd, purchase_history

CUTOFFS = 8
COVARIATES = (
    "recency",
    "visits",
    "visit_rate",
    "gap_mean",
    "gap_sd",
    "gap_median",
    "gap_last",
    "visits_decayed_14",
    "visits_decayed_56",
    "spend_per_visit",
    "tenure",
    "recency_over_gap_mean",
)


def _predictions(features: pl.DataFrame, curves: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    answers = PurchaseCurves.daily(curves).answers(features.select("customer_id"))
    return answers if ids is None else ids.join(answers, on="customer_id", maintain_order="left")


@dataclass
class PopulationCurve:
    """The Kaplan-Meier curve of all customers, the same for each."""

    horizon_days: int = 56
    curve_: Floats = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Estimate the curve on past cutoffs."""
        cutoffs = past_cutoffs(
            dataset, as_of, self.horizon_days, step=CUTOFF_STEP_DAYS, count=CUTOFFS
        )
        days = np.concatenate([cutoff.days_to_purchase for cutoff in cutoffs])
        purchased = np.concatenate([cutoff.purchased for cutoff in cutoffs])
        self.curve_ = kaplan_meier(days, purchased, self.horizon_days)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        return _predictions(features, np.tile(self.curve_, (features.height, 1)), ids)


@dataclass
class MedianGap:
    """The next visit is one median gap of the customer after `as_of`.

    Counted from the last visit instead, predictions are worse. Customers without a gap get the
    median of the other customers' medians.
    """

    horizon_days: int = 56

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Fit nothing: gaps are features."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        gap = pl.col("gap_median").fill_null(pl.col("gap_median").median())
        predicted = features.select(gap.clip(0, self.horizon_days)).to_series().to_numpy()
        days = np.arange(1, self.horizon_days + 1)
        return _predictions(features, (days > predicted[:, None]).astype(np.float64), ids)


@dataclass
class BgNbdCurve:
    """The distribution of the next purchase under BG/NBD (Fader, Hardie and Lee 2005)."""

    horizon_days: int = 56
    process_: BgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what is known at `as_of`."""
        self.process_ = BgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        frequency, recency, age = (values[:, None] for values in purchase_history(features))
        days = np.arange(1, self.horizon_days + 1)[None, :]
        curves = 1 - self.process_.inactivity(frequency, recency, age, days)
        return _predictions(features, curves, ids)


@dataclass
class SurvivalRegression:
    """A regression of lifelines on the logs of COVARIATES.

    Attributes
    ----------
    fitter
        Name of the class in lifelines.
    horizon_days
        Days of follow-up.
    """

    fitter: str
    horizon_days: int = 56
    columns_: list[str] = field(init=False, repr=False)
    center_: Floats = field(init=False, repr=False)
    scale_: Floats = field(init=False, repr=False)
    regression_: Any = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs, censored at the end of follow-up.

        Raises
        ------
        MissingData
            If no customer bought again, or the customers are too much alike for a regression.
        """
        import lifelines

        cutoffs = past_cutoffs(
            dataset, as_of, self.horizon_days, step=CUTOFF_STEP_DAYS, count=CUTOFFS
        )
        self.columns_ = [name for name in COVARIATES if name in cutoffs[0].features.columns]
        logs = np.concatenate([self._logs(cutoff.features) for cutoff in cutoffs])
        self.center_, self.scale_ = logs.mean(axis=0), logs.std(axis=0) + 1e-9
        purchased = np.concatenate([cutoff.purchased for cutoff in cutoffs])
        if not purchased.any():
            raise MissingData(
                f"No customer of dataset {dataset.name} bought again after a cutoff before "
                f"{as_of.date()}, so {self.fitter} has nothing to learn from.",
                field="orders",
            )
        days = np.concatenate([cutoff.days_to_purchase for cutoff in cutoffs]) + 0.5 * purchased
        table = self._table(logs).with_columns(
            pl.Series("days", days), pl.Series("purchased", purchased)
        )
        self.regression_ = getattr(lifelines, self.fitter)(penalizer=0.001)
        try:
            self.regression_.fit(table.to_pandas(), "days", "purchased")
        except lifelines.exceptions.ConvergenceError as error:
            raise MissingData(
                f"{self.fitter} does not converge on dataset {dataset.name} before "
                f"{as_of.date()}: its customers are too few or too much alike.",
                field="orders",
            ) from error
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        survival = self.regression_.predict_survival_function(
            self._table(self._logs(features)).to_pandas(),
            times=np.arange(1, self.horizon_days + 1),
        )
        return _predictions(features, 1 - survival.to_numpy().T, ids)

    def _logs(self, features: pl.DataFrame) -> Floats:
        # A customer without a gap gets one as long as the follow-up.
        filled = [
            pl.col(name).fill_null(self.horizon_days if name.startswith("gap") else 0)
            for name in self.columns_
        ]
        return np.asarray(np.log1p(features.select(filled).to_numpy()))

    def _table(self, logs: Floats) -> pl.DataFrame:
        return pl.DataFrame((logs - self.center_) / self.scale_, schema=self.columns_, orient="row")


def cox(horizon_days: int = 56) -> SurvivalRegression:
    """Proportional hazards (Cox 1972)."""
    return SurvivalRegression("CoxPHFitter", horizon_days)


def weibull_aft(horizon_days: int = 56) -> SurvivalRegression:
    """Accelerated failure time with Weibull errors."""
    return SurvivalRegression("WeibullAFTFitter", horizon_days)


def lognormal_aft(horizon_days: int = 56) -> SurvivalRegression:
    """Accelerated failure time with log-normal errors."""
    return SurvivalRegression("LogNormalAFTFitter", horizon_days)
