"""Churn baselines: logistic regression on recency or RFM, default LightGBM on RFM, and BG/NBD.

All but BG/NBD are fitted to past cutoffs as the model is; all return the columns `customer_id` and
`churn_probability`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import (
    customer_features,
    cutoff_days,
    days_to_next,
    features_at_cutoff,
)
from training.estimators.bg_nbd import BgNbd, purchase_history

RFM = ("recency", "visits", "visit_rate", "spend_per_visit", "tenure")
CUTOFFS = 10


def _predictions(features: pl.DataFrame, p: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    predictions = features.select("customer_id", pl.Series("churn_probability", p))
    if ids is None:
        return predictions
    return ids.join(predictions, on="customer_id", maintain_order="left")


@dataclass
class FeatureClassifier:
    """A classifier on the logs of a few features.

    Attributes
    ----------
    columns
        The features; those that a dataset lacks are left out.
    classifier
        A scikit-learn classifier.
    horizon_days
        Churn is no purchase within so many days.
    """

    columns: tuple[str, ...]
    classifier: Any
    horizon_days: int
    columns_: tuple[str, ...] = field(init=False, repr=False)
    constant_: float | None = field(init=False, repr=False)

    def _matrix(self, features: pl.DataFrame) -> Floats:
        return np.asarray(features.select(pl.col(self.columns_).log1p()).to_numpy())

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`."""
        days = cutoff_days(
            dataset,
            as_of,
            latest=self.horizon_days,
            step=max(1, self.horizon_days // 2),
            count=CUTOFFS,
            history=self.horizon_days,
        )
        frames = [features_at_cutoff(dataset, as_of, day) for day in days]
        labels = []
        for day, frame in zip(days, frames, strict=True):
            following = days_to_next(dataset, as_of, day, frame.get_column("customer_id"))
            labels.append((following.fill_null(self.horizon_days) >= self.horizon_days).to_numpy())
        self.columns_ = tuple(name for name in self.columns if name in frames[0].columns)
        label = np.concatenate(labels)
        # Classifiers need both classes.
        self.constant_ = float(label[0]) if label.all() or not label.any() else None
        if self.constant_ is None:
            self.classifier.fit(np.concatenate([self._matrix(frame) for frame in frames]), label)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        if self.constant_ is not None:
            return _predictions(features, np.full(features.height, self.constant_), ids)
        p = self.classifier.predict_proba(self._matrix(features))[:, 1]
        return _predictions(features, p, ids)


def recency_only(horizon_days: int = 28) -> FeatureClassifier:
    """Logistic regression on the log of the days since the last visit."""
    return FeatureClassifier(("recency",), LogisticRegression(), horizon_days)


def rfm_logistic(horizon_days: int = 28) -> FeatureClassifier:
    """Logistic regression on logs of recency, frequency, spend per visit and tenure."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    return FeatureClassifier(RFM, classifier, horizon_days)


def lightgbm_rfm(horizon_days: int = 28) -> FeatureClassifier:
    """LightGBM with default options on recency, frequency, spend per visit and tenure."""
    return FeatureClassifier(RFM, LGBMClassifier(n_jobs=1, verbose=-1), horizon_days)


@dataclass
class BgNbdChurn:
    """P(no purchase within the horizon) under BG/NBD (Fader, Hardie and Lee 2005)."""

    horizon_days: int = 28
    process_: BgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what is known at `as_of`."""
        features = customer_features(dataset, as_of)
        self.process_ = BgNbd.fit(*purchase_history(features))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        p = self.process_.inactivity(*purchase_history(features), self.horizon_days)
        return _predictions(features, p, ids)
