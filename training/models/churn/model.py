"""Churn model: the probability that a customer buys nothing in the next `horizon_days`.

A dataset and an instant go in; probabilities, stages and explanations of every customer with a
purchase come out. The model is trained on customers at past cutoffs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from features.customers.rfm import Rfm
from features.dataset import Dataset
from training.customers.explanations import Usual, Wording, explanation_columns
from training.customers.feature_phrases import CHURN_WORDING
from training.customers.purchase_curves import PurchaseCurves
from training.customers.stages import NEW, stages
from training.customers.timing_model import TimingModel
from training.customers.timing_training import fit_purchase_timing


@dataclass
class ChurnModel(TimingModel):
    """The curve of the next purchase at the churn horizon, with stages.

    A customer who buys nothing within `horizon_days` has churned. The probability of that increases
    with inactivity and decreases with visits. For options, see `TimingModel`.
    """

    name: ClassVar[str] = "churn"
    wording: ClassVar[Wording] = CHURN_WORDING

    horizon_days: int = 28
    rfm_: Rfm = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`.

        With less than two horizons of records there are none, and the model is BG/NBD and MBG/NBD.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        self.timing_ = fit_purchase_timing(
            dataset, as_of, self._timing_options(), horizon_days=self.horizon_days
        )
        features = self.features(dataset, as_of)
        self.rfm_ = Rfm.fit(nw.from_native(features).lazy())
        self.usual_ = Usual.measure(features, self.contributions)
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
            customer_id, churn_probability, horizon_days, explanations (see `Usual.explanations`),
            contributions (of each explanation, in log-odds of churn), stage
            (`training.customers.stages`), rfm_segment and rfm_score (`features.customers.rfm`).
        """
        probability, *segments = self.segments(features, curves)
        horizon = np.full(features.height, self.horizon_days)
        return pl.DataFrame(
            [
                features.get_column("customer_id"),
                probability,
                pl.Series("horizon_days", horizon, pl.Int64),
                *explanation_columns(self.explanations(features, timing_parts)),
                *segments,
            ]
        )

    def segments(
        self, features: pl.DataFrame, curves: PurchaseCurves | None = None
    ) -> pl.DataFrame:
        """Return churn_probability, stage, rfm_segment and rfm_score from rows of `features`."""
        if curves is None:
            probability = self.timing_.survival(features)
        else:
            probability = curves.survival(self.horizon_days)
        return pl.DataFrame(
            [
                pl.Series("churn_probability", probability, pl.Float64),
                stages(features, probability, self.horizon_days),
                *self.rfm_.segments(features),
            ]
        )

    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        newcomers = self.timing_.newcomers(len(ids))
        return pl.DataFrame(ids).select(
            "customer_id",
            pl.Series("churn_probability", newcomers.survival(self.horizon_days)),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            *explanation_columns([[]] * len(ids)),
            pl.lit(NEW).alias("stage"),
            pl.lit(None, dtype=pl.String).alias("rfm_segment"),
            pl.lit(None, dtype=pl.Int64).alias("rfm_score"),
        )

    def _fitted(self) -> dict[str, Any]:
        return {**super()._fitted(), "rfm": asdict(self.rfm_)}

    def _restore(self, fitted: Mapping[str, Any]) -> None:
        super()._restore(fitted)
        self.rfm_ = Rfm.from_edges(fitted["rfm"])
