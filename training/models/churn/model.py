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
from training.customers.cutoffs import Cutoff, customer_features
from training.customers.explanations import explanation_columns, explanation_rows, top_explanations
from training.customers.inactivity import (
    TREES,
    InactivityModel,
    InactivityOptions,
    fit_inactivity,
)
from training.customers.prediction import FEW_VISITS, predict_customers
from training.customers.stages import NEW, stages
from training.customers.survival import CUTOFF_STEP_DAYS
from training.estimators.boosting import BoostingOptions

# With fewer examples of customers with few visits, the rate of all customers is used.
MIN_FEW_VISITS_EXAMPLES = 30
EXPLANATIONS = 3
NEW_CUSTOMER_EXPLANATION = "no purchase known: the rate of customers with fewer than 3 visits"
INACTIVITY = "inactivity"


@dataclass
class ChurnModel:
    """The inactivity model at its horizon (`training.customers.inactivity`), with stages.

    The probability increases with inactivity and decreases with visits.

    Attributes
    ----------
    horizon_days
        A customer who buys nothing within so many days has churned.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cutoffs, cutoff_step_days
        Number of past cutoffs, and the days between them.
    rounds
        Number of trees.
    trees
        Options of the trees.
    """

    name: ClassVar[str] = "churn"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cutoffs: int = 12
    cutoff_step_days: int = CUTOFF_STEP_DAYS
    rounds: int = 200
    trees: BoostingOptions = TREES
    inactivity_: InactivityModel = field(init=False, repr=False)
    new_customer_rate_: float = field(init=False, repr=False)
    rfm_: Rfm = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return customer_features(dataset, as_of)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`.

        With less than two horizons of records there are none, and the model is MBG/NBD alone.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        options = InactivityOptions(
            trees=self.trees,
            rounds=self.rounds,
            cutoffs=self.cutoffs,
            step_days=self.cutoff_step_days,
            seed=self.seed,
            threads=self.threads,
        )
        self.inactivity_, cutoffs = fit_inactivity(dataset, as_of, self.horizon_days, options)
        features = customer_features(dataset, as_of)
        self.rfm_ = Rfm.fit(nw.from_native(features).lazy())
        self.new_customer_rate_ = self._new_customer_rate(features, cutoffs)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, churn_probability, horizon_days, explanations (up to three,
            strongest first), contributions (of each explanation, in log-odds of churn), stage
            (`training.customers.stages`), rfm_segment and rfm_score (`features.customers.rfm`).
            Customers without a purchase get the rate of customers with few visits.
        """
        return predict_customers(
            self.features(dataset, as_of), ids, self.predict_from, self.predict_new
        )

    def predict_from(self, features: pl.DataFrame) -> pl.DataFrame:
        """Predict from rows of `features`."""
        explanations = top_explanations(
            self.inactivity_.contributions(features), features, EXPLANATIONS
        )
        probability, *segments = self.segments(features)
        return features.select(
            "customer_id",
            probability,
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            *explanation_columns(explanations),
            *segments,
        )

    def segments(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return churn_probability, stage, rfm_segment and rfm_score from rows of `features`."""
        probability = self.inactivity_.probability(features)
        segmented = self.rfm_.with_segments(nw.from_native(features).lazy()).collect().to_polars()
        return segmented.select(
            pl.Series("churn_probability", probability, pl.Float64),
            stages(features, probability, self.horizon_days),
            "rfm_segment",
            "rfm_score",
        )

    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        return pl.DataFrame(ids).select(
            "customer_id",
            pl.lit(self.new_customer_rate_).alias("churn_probability"),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            *explanation_columns([[(NEW_CUSTOMER_EXPLANATION, 0.0)]] * len(ids)),
            pl.lit(NEW).alias("stage"),
            pl.lit(None, dtype=pl.String).alias("rfm_segment"),
            pl.lit(None, dtype=pl.Int64).alias("rfm_score"),
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason; `contribution` in log-odds of churn."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(self.inactivity_.contributions(features), features, EXPLANATIONS)

    def save(self, folder: Path) -> None:
        """Write options, fitted values and the inactivity model."""
        fitted = {"new_customer_rate": self.new_customer_rate_, "rfm": asdict(self.rfm_)}
        model_file.write(self, folder, fitted)
        self.inactivity_.save(folder / INACTIVITY)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.inactivity_ = InactivityModel.load(folder / INACTIVITY, model.threads)
        model.new_customer_rate_ = fitted["new_customer_rate"]
        model.rfm_ = Rfm.from_edges(fitted["rfm"])
        return model

    def _new_customer_rate(self, features: pl.DataFrame, cutoffs: list[Cutoff]) -> float:
        """Return the churn rate of customers with few visits at cutoffs, or of all customers.

        Without cutoffs it is the mean predicted probability.
        """
        if cutoffs:
            churned = np.concatenate([cutoff.churned(self.horizon_days) for cutoff in cutoffs])
            visits = pl.concat(cutoff.features["visits"] for cutoff in cutoffs)
        else:
            churned, visits = self.inactivity_.probability(features), features["visits"]
        few = (visits < FEW_VISITS).to_numpy()
        enough = few.sum() >= MIN_FEW_VISITS_EXAMPLES
        return float((churned[few] if enough else churned).mean())
