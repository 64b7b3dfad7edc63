"""Logistic regression of inactivity on recency and frequency, monotone in each.

Customers, days ahead and outcomes go in; log-odds of no purchase within the days come out. They
rise with recency and fall with visits and with the days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from features.typing import Floats
from training.estimators.platt_scaling import PlattScaling

# Features whose logarithms are regressed on, and their signs, as in `monotone_features`.
SIGNS = {"recency": 1, "visits": -1, "visits_a_day": -1, "tenure_at_last_visit": -1}


@dataclass(frozen=True)
class RfmLogistic:
    """Slopes of the mean outcome's log-odds and of the features, none of them negative.

    Attributes
    ----------
    mean, scale
        Mean and standard deviation of the logarithm of each feature.
    scaling
        Slopes of the mean log-odds and of the features, and the intercept.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    scaling: PlattScaling

    @classmethod
    def fit(cls, features: pl.DataFrame, rates: Floats, label: Floats) -> Self:
        """Fit to outcomes.

        Parameters
        ----------
        features
            Customer features, one row an example.
        rates
            Log-odds of the mean outcome for the days ahead of each example.
        label
            1 without a purchase within the days, else 0.
        """
        logs = _logs(features)
        mean, deviation = logs.mean(axis=0), logs.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        predictors = np.column_stack([rates, (logs - mean) / scale * list(SIGNS.values())])
        prior = (1.0, *[0.0] * len(SIGNS))
        scaling = PlattScaling.fit(predictors, label, prior)
        return cls(tuple(mean.tolist()), tuple(scale.tolist()), scaling)

    def contributions(self, features: pl.DataFrame) -> Floats:
        """Return the parts of the log-odds of each of the features in `SIGNS`."""
        signed = np.array(self.scaling.slopes[1:]) * list(SIGNS.values())
        return np.asarray((_logs(features) - self.mean) / self.scale * signed)

    def log_odds(self, contributions: Floats, rates: Floats) -> Floats:
        """Return the log-odds of customers from their `contributions`; `rates` as in fitting."""
        parts = contributions.sum(axis=1)
        return np.asarray(parts + self.scaling.slopes[0] * rates + self.scaling.intercept)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the regression from the dictionary that `dataclasses.asdict` returns for it."""
        scaling = PlattScaling.from_json(content["scaling"])
        return cls(tuple(content["mean"]), tuple(content["scale"]), scaling)


def _logs(features: pl.DataFrame) -> Floats:
    columns = [features.get_column(name).to_numpy() for name in SIGNS]
    return np.asarray(np.log1p(np.column_stack(columns)))
