"""Components of the churn model for `ablation.py`.

Among them the ensemble itself: its rival is the survival curve of next purchase, calibrated at the
churn horizon.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from ablation import Component
from ablation_customers import ATTRIBUTES, FAMILY, MODELS, USUAL, replaced, several, with_options

from features.dataset import Dataset
from features.typing import Floats
from training.customers import monotone_inputs
from training.estimators.boosting import Booster
from training.models.churn import ensemble, ensemble_training
from training.models.churn.ensemble_weights import EQUAL_WEIGHTS
from training.models.churn.model import ChurnModel
from training.models.churn.monotone_logistic import MonotoneLogit
from training.models.churn.seasonal_calibration import PlattScaling
from training.models.next_purchase import model as next_purchase


def _full_horizon_boosters(
    process: Any, horizon_days: int, cutoffs: Any, options: ensemble.EnsembleOptions
) -> tuple[tuple[Booster, ...], tuple[float, ...]]:
    """Fit boosters of the horizon only, as many as there would be pairs."""
    followed = [cutoff for cutoff in cutoffs if cutoff.follow_up_days >= horizon_days]
    features = pl.concat(cutoff.features for cutoff in followed)
    columns, signs = monotone_inputs.monotone_inputs(features, process, horizon_days)
    label = np.concatenate([cutoff.churned(horizon_days) for cutoff in followed])
    params = options.trees.params(objective="binary", monotone_constraints=signs)
    boosters = tuple(
        Booster.fit(columns, label, params, options.rounds, seed=options.seed + k)
        for k in range(options.members)
    )
    return boosters, (0.0,) * options.members


def _member_as_trees(position: int) -> AbstractContextManager[None]:
    """Let the trees answer for another member of the churn ensemble."""
    original = ensemble.ChurnEnsemble.member_log_odds

    def log_odds(self: Any, features: pl.DataFrame) -> Floats:
        members = original(self, features)
        members[:, position] = members[:, 0]
        return members

    return replaced(ensemble.ChurnEnsemble, "member_log_odds", log_odds)


def _constant_logit(columns: Floats, signs: Floats, _: Floats) -> Any:
    zeros = np.zeros(columns.shape[1])
    none = np.zeros((0, columns.shape[1]))
    return MonotoneLogit(signs, zeros, zeros + 1, none, zeros[None, :], 0.0)


class _LogitFit(MonotoneLogit):
    """Stands for a logistic regression that is not fitted."""

    fit = staticmethod(_constant_logit)  # type: ignore[assignment]


def _seasonal_candidates_only(self: Any, past: Any) -> dict[str, PlattScaling]:
    season = self._year_before(self.complete[0].day)
    if season is None:
        return {}
    fitted = PlattScaling.fit(past.log_odds(season[0]), season[1])
    return {ensemble_training.YEAR_BEFORE: fitted}


def _unsigned(*args: Any) -> tuple[pl.DataFrame, list[int]]:
    columns, signs = monotone_inputs.monotone_inputs(*args)
    return columns, [0] * len(signs)


class CurveChurn:
    """Churn read off the survival curve of next purchase, with Platt at the horizon."""

    def __init__(self, horizon_days: int = 28) -> None:
        self.horizon_days = horizon_days

    def fit(self, dataset: Dataset, as_of: datetime) -> "CurveChurn":
        """Fit the curve, and its calibration on the predictions one horizon before."""
        before = as_of - timedelta(days=self.horizon_days)
        past = self._model(dataset, before)
        features = past.features(dataset, before)
        following = ensemble_training.examples_at(
            dataset, as_of, int((before - datetime(1970, 1, 1)).days), self.horizon_days
        )
        self.platt_ = PlattScaling.fit(self._log_odds(past, features), following[1])
        self.model_ = self._model(dataset, as_of)
        return self

    def predict(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = self.model_.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        log_odds = self.platt_.apply(self._log_odds(self.model_, features))
        return features.select(
            "customer_id", pl.Series("churn_probability", 1 / (1 + np.exp(-log_odds)))
        )

    def _model(self, dataset: Dataset, as_of: datetime) -> next_purchase.NextPurchaseModel:
        days = max(2 * self.horizon_days, 30)
        return next_purchase.NextPurchaseModel(horizon_days=days).fit(dataset, as_of)

    def _log_odds(self, model: next_purchase.NextPurchaseModel, features: pl.DataFrame) -> Floats:
        p = np.clip(1 - model.curves(features)[:, self.horizon_days - 1], 1e-6, 1 - 1e-6)
        return np.asarray(np.log(p / (1 - p)))


def _no_trees(self: ChurnModel) -> ensemble.EnsembleOptions:
    return replace(_ensemble_options(self), min_examples=10**9)


_ensemble_options = ChurnModel._ensemble_options
ENSEMBLE = ("ensemble", "ensemble_training", "ensemble_weights", "monotone_logistic")


def components() -> list[Component]:
    """Return the components of churn."""
    training = ensemble_training._Training
    return [
        Component("second pair of boosters", lambda: with_options(ChurnModel, members=1)),
        Component(
            "boosters of half the horizon",
            lambda: replaced(ensemble, "_fit_boosters", _full_horizon_boosters),
        ),
        Component("trees", lambda: replaced(ChurnModel, "_ensemble_options", _no_trees)),
        Component(
            "monotone logistic regression",
            lambda: several(_member_as_trees(1), replaced(ensemble, "MonotoneLogit", _LogitFit)),
            (f"{FAMILY}/churn/monotone_logistic.py",),
        ),
        Component("BG/NBD member", lambda: _member_as_trees(2)),
        Component(
            "fitted weights (equal ones)",
            lambda: replaced(training, "weights", lambda *_: EQUAL_WEIGHTS),
            (f"{FAMILY}/churn/ensemble_weights.py",),
        ),
        Component(
            "Platt scaling on the newest cutoff",
            lambda: replaced(training, "_candidates", _seasonal_candidates_only),
        ),
        Component(
            "seasonal calibration",
            lambda: replaced(training, "_year_before", lambda *_: None),
            (f"{FAMILY}/churn/seasonal_calibration.py",),
            guarantees="level in shops with a season and two years of records",
        ),
        Component(
            "monotone constraints",
            lambda: replaced(ensemble, "monotone_inputs", _unsigned),
            guarantees="churn rises with inactivity and falls with visits",
        ),
        Component("6 of 12 cutoffs", lambda: with_options(ChurnModel, cutoffs=6)),
        USUAL,
        ATTRIBUTES,
        Component(
            "the ensemble (survival curve of next purchase instead)",
            lambda: replaced(MODELS, "churn", CurveChurn),
            tuple(f"{FAMILY}/churn/{name}.py" for name in ENSEMBLE),
        ),
    ]
