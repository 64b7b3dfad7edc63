"""What next purchase must beat: a population curve, the own gap, BG/NBD, and classic survival.

All but the first three learn from the same followed cuts as the model; all answer with the same
columns.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import Cutoff, customer_features, past_cutoffs
from training.customers.survival import answers_from
from training.estimators.bg_nbd import BgNbd, purchase_history

CUTS, STEP_DAYS = 8, 14
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


def _answer(features: pl.DataFrame, curves: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    answer = answers_from(features.get_column("customer_id"), curves)
    return answer if ids is None else ids.join(answer, on="customer_id", maintain_order="left")


def kaplan_meier(cuts: list[Cutoff], horizon_days: int) -> Floats:
    """Share that has bought within d days, d = 1 to the horizon (Kaplan and Meier 1958)."""
    days = np.concatenate([cut.days_to_purchase for cut in cuts])
    bought = np.concatenate([cut.purchased for cut in cuts])
    events = np.bincount(days[bought], minlength=horizon_days)[:horizon_days]
    # Those followed to the end of day d at least: a purchase on it, or silence beyond it.
    lived = np.array([(days > day).sum() for day in range(horizon_days)]) + events
    return np.asarray(1 - np.cumprod(1 - events / np.maximum(lived, 1)))


@dataclass
class PopulationCurve:
    """The same curve for everyone."""

    horizon_days: int = 56
    curve_: Floats = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Estimate the curve on followed cuts."""
        cuts = past_cutoffs(dataset, as_of, self.horizon_days, step=STEP_DAYS, count=CUTS)
        self.curve_ = kaplan_meier(cuts, self.horizon_days)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        return _answer(features, np.tile(self.curve_, (features.height, 1)), ids)


@dataclass
class OwnMedianGap:
    """The next visit comes one own median gap from now; better than from the last visit.

    Who has no gap yet gets the median of the others' medians.
    """

    horizon_days: int = 56

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Learn nothing: the gaps are features."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        gap = pl.col("gap_median").fill_null(pl.col("gap_median").median())
        left = features.select(gap.clip(0, self.horizon_days)).to_series()
        days = np.arange(1, self.horizon_days + 1)
        return _answer(features, (days > left.to_numpy()[:, None]).astype(np.float64), ids)


@dataclass
class BgNbdCurve:
    """The distribution of the next purchase under BG/NBD."""

    horizon_days: int = 56
    process_: BgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what was known at `as_of`."""
        self.process_ = BgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        frequency, recency, age = (values[:, None] for values in purchase_history(features))
        days = np.arange(1, self.horizon_days + 1)[None, :]
        silence = self.process_.inactivity(frequency, recency, age, days)
        return _answer(features, 1 - silence, ids)


@dataclass
class Survival:
    """A regression of lifelines on logs of how a customer buys."""

    fitter: str
    horizon_days: int = 56
    columns_: list[str] = field(init=False, repr=False)
    center_: Floats = field(init=False, repr=False)
    scale_: Floats = field(init=False, repr=False)
    regression_: Any = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the regression on followed cuts, censored where follow-up ends."""
        import lifelines

        cuts = past_cutoffs(dataset, as_of, self.horizon_days, step=STEP_DAYS, count=CUTS)
        self.columns_ = [name for name in COVARIATES if name in cuts[0].features.columns]
        logs = np.concatenate([self._logs(cut.features) for cut in cuts])
        self.center_, self.scale_ = logs.mean(axis=0), logs.std(axis=0) + 1e-9
        bought = np.concatenate([cut.purchased for cut in cuts])
        days = np.concatenate([cut.days_to_purchase for cut in cuts]) + 0.5 * bought
        table = self._table(logs).with_columns(pl.Series("days", days), pl.Series("bought", bought))
        self.regression_ = getattr(lifelines, self.fitter)(penalizer=0.001)
        self.regression_.fit(table.to_pandas(), "days", "bought")
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        survival = self.regression_.predict_survival_function(
            self._table(self._logs(features)).to_pandas(),
            times=np.arange(1, self.horizon_days + 1),
        )
        return _answer(features, 1 - survival.to_numpy().T, ids)

    def _logs(self, features: pl.DataFrame) -> Floats:
        # A gap that was never seen is longer than the follow-up.
        known = [
            pl.col(name).fill_null(self.horizon_days if name.startswith("gap") else 0)
            for name in self.columns_
        ]
        return np.asarray(np.log1p(features.select(known).to_numpy()))

    def _table(self, logs: Floats) -> pl.DataFrame:
        return pl.DataFrame((logs - self.center_) / self.scale_, schema=self.columns_, orient="row")


def cox(horizon_days: int = 56) -> Survival:
    """Proportional hazards (Cox 1972)."""
    return Survival("CoxPHFitter", horizon_days)


def weibull_aft(horizon_days: int = 56) -> Survival:
    """Accelerated failure time with Weibull errors."""
    return Survival("WeibullAFTFitter", horizon_days)


def lognormal_aft(horizon_days: int = 56) -> Survival:
    """Accelerated failure time with log-normal errors."""
    return Survival("LogNormalAFTFitter", horizon_days)
