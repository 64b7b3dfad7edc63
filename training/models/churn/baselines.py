"""What churn must beat: recency alone, RFM with a straight line or default trees, and BG/NBD.

All learn from the same stacked cuts as the model, and answer with the same columns.
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


def _answer(features: pl.DataFrame, p: Floats, ids: pl.DataFrame | None) -> pl.DataFrame:
    answer = features.select("customer_id", pl.Series("churn_probability", p))
    return answer if ids is None else ids.join(answer, on="customer_id", maintain_order="left")


@dataclass
class _OnColumns:
    """A classifier on logs of a few features."""

    columns: tuple[str, ...]
    classifier: Any
    horizon_days: int
    seen_: tuple[str, ...] = field(init=False, repr=False)
    always_: float | None = field(init=False, repr=False)

    def _matrix(self, features: pl.DataFrame) -> Floats:
        return np.asarray(features.select(pl.col(self.seen_).log1p()).to_numpy())

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        cuts = cutoff_days(
            dataset,
            as_of,
            latest=self.horizon_days,
            step=max(1, self.horizon_days // 2),
            count=10,
            history=self.horizon_days,
        )
        frames = [features_at_cutoff(dataset, as_of, cut) for cut in cuts]
        labels = []
        for cut, frame in zip(cuts, frames, strict=True):
            following = days_to_next(dataset, as_of, cut, frame.get_column("customer_id"))
            labels.append((following.fill_null(self.horizon_days) >= self.horizon_days).to_numpy())
        self.seen_ = tuple(name for name in self.columns if name in frames[0].columns)
        label = np.concatenate(labels)
        # A classifier cannot be fitted where all did the same.
        self.always_ = float(label[0]) if label.all() or not label.any() else None
        if self.always_ is None:
            self.classifier.fit(np.concatenate([self._matrix(frame) for frame in frames]), label)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        features = customer_features(dataset, as_of)
        if self.always_ is not None:
            return _answer(features, np.full(features.height, self.always_), ids)
        return _answer(features, self.classifier.predict_proba(self._matrix(features))[:, 1], ids)


def recency_only(horizon_days: int = 28) -> _OnColumns:
    """Logistic regression on the log of the days since the last visit."""
    return _OnColumns(("recency",), LogisticRegression(), horizon_days)


def rfm_logistic(horizon_days: int = 28) -> _OnColumns:
    """Logistic regression on logs of recency, frequency, money and tenure."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    return _OnColumns(RFM, classifier, horizon_days)


def lightgbm_rfm(horizon_days: int = 28) -> _OnColumns:
    """LightGBM as it comes, on recency, frequency, money and tenure."""
    return _OnColumns(RFM, LGBMClassifier(n_jobs=1, verbose=-1), horizon_days)


@dataclass
class BgNbdSilence:
    """P(no purchase in the horizon) under BG/NBD: the honest classic."""

    horizon_days: int = 28
    process_: BgNbd = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the four parameters to what was known at `as_of`."""
        features = customer_features(dataset, as_of)
        self.process_ = BgNbd.fit(*purchase_history(features))
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        p = self.process_.inactivity(*purchase_history(features), self.horizon_days)
        return _answer(features, p, ids)
