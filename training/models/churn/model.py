"""Churn model: the probability that a customer buys nothing in the next `horizon_days`.

A dataset and an instant go in; probabilities, stages and explanations of every customer with a
purchase come out. The model is trained on customers at past cutoffs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from features.customers.rfm import Rfm
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
from training.customers.feature_phrases import CHURN_WORDING
from training.customers.prediction import predict_customers
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import PurchaseTiming
from training.customers.stages import NEW, stages
from training.customers.timing_training import BOOSTING, TimingOptions, fit_purchase_timing
from training.estimators.boosting import BoostingOptions

TIMING = "timing"


@dataclass
class ChurnModel:
    """The timing of the next purchase (`training.customers.purchase_timing`), with stages.

    The probability of no purchase increases with inactivity and decreases with visits.

    Attributes
    ----------
    horizon_days
        A customer who buys nothing within so many days has churned.
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

    name: ClassVar[str] = "churn"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cutoffs: int = 12
    rounds: int = 200
    trees: BoostingOptions = BOOSTING
    explain_attributes: bool = False
    timing_: PurchaseTiming = field(init=False, repr=False)
    rfm_: Rfm = field(init=False, repr=False)
    usual_: Usual = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return customer_features(dataset, as_of)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`.

        With less than two horizons of records there are none, and the model is BG/NBD and MBG/NBD.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        options = TimingOptions(
            trees=self.trees,
            rounds=self.rounds,
            cutoffs=self.cutoffs,
            seed=self.seed,
            threads=self.threads,
        )
        self.timing_ = fit_purchase_timing(dataset, as_of, options, horizon_days=self.horizon_days)
        features = customer_features(dataset, as_of)
        self.rfm_ = Rfm.fit(nw.from_native(features).lazy())
        self.usual_ = Usual.measure(features, self.timing_.contributions)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, churn_probability, horizon_days, explanations (see `Usual.explanations`),
            contributions (of each explanation, in log-odds of churn), stage
            (`training.customers.stages`), rfm_segment and rfm_score (`features.customers.rfm`).
            Customers without a purchase get the curve of customers with few visits, unexplained.
        """
        return predict_customers(
            self.features(dataset, as_of), ids, self.predict_from, self.predict_new
        )

    def predict_from(
        self, features: pl.DataFrame, curves: PurchaseCurves | None = None
    ) -> pl.DataFrame:
        """Predict from rows of `features`, and their curves where they are known."""
        probability, *segments = self.segments(features, curves)
        horizon = np.full(features.height, self.horizon_days)
        return pl.DataFrame(
            [
                features.get_column("customer_id"),
                probability,
                pl.Series("horizon_days", horizon, pl.Int64),
                *explanation_columns(self._explanations(features)),
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

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason; `contribution` in log-odds of churn."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(features.select("customer_id"), self._explanations(features))

    def save(self, folder: Path) -> None:
        """Write options, fitted values and the timing of the next purchase."""
        model_file.write(self, folder, {"rfm": asdict(self.rfm_), "usual": asdict(self.usual_)})
        self.timing_.save(folder / TIMING)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.timing_ = PurchaseTiming.load(folder / TIMING, model.threads)
        model.rfm_ = Rfm.from_edges(fitted["rfm"])
        model.usual_ = Usual(**fitted["usual"])
        return model

    def _explanations(self, features: pl.DataFrame) -> list[list[Explanation]]:
        return self.usual_.explanations(
            self.timing_.contributions(features),
            features,
            CHURN_WORDING,
            attributes=self.explain_attributes,
        )
