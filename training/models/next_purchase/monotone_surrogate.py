"""Monotone surrogate of a hazard model: customers and its predictions in, monotone ones out.

Trees with monotone constraints approximate the log-odds of no purchase within a horizon; curves are
rescaled to meet them there.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats
from training.customers.monotone_inputs import min_over_last_visit, monotone_inputs
from training.customers.survival import TINY
from training.estimators.bg_nbd import ModifiedBgNbd
from training.estimators.boosting import Booster, BoostingOptions

ROUNDS = 250
TREES = BoostingOptions(
    learning_rate=0.08,
    num_leaves=31,
    min_data_in_leaf=20,
    feature_fraction=0.6,
    bagging_fraction=0.8,
    lambda_l2=1.0,
)
FILE, BOOSTER = "surrogate.json", "booster"


@dataclass(frozen=True)
class MonotoneSurrogate:
    """Trees with monotone constraints, fitted to log-odds of no purchase within `horizon_days`."""

    horizon_days: int
    process: ModifiedBgNbd
    booster: Booster

    @classmethod
    def fit(
        cls,
        process: ModifiedBgNbd,
        horizon_days: int,
        features: pl.DataFrame,
        log_odds: Floats,
        *,
        threads: int,
        seed: int,
    ) -> Self:
        """Fit to another model's log-odds of no purchase."""
        columns, signs = monotone_inputs(features, process, horizon_days)
        params = TREES.params(objective="regression", monotone_constraints=signs)
        booster = Booster.fit(columns, log_odds, params, ROUNDS, threads=threads, seed=seed)
        return cls(horizon_days, process, booster)

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the log-odds of no purchase within `horizon_days`."""
        columns, _ = monotone_inputs(features, self.process, self.horizon_days)
        return min_over_last_visit(self.booster.predict, columns, features)[0]

    def save(self, folder: Path) -> None:
        """Write the native booster and `surrogate.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster.save(folder / BOOSTER)
        content = {"horizon_days": self.horizon_days, "process": asdict(self.process)}
        (folder / FILE).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / FILE).read_text())
        process = ModifiedBgNbd(**content["process"])
        return cls(content["horizon_days"], process, Booster.load(folder / BOOSTER, threads))


def rescale_curves(curves: Floats, days: int, log_odds: Floats) -> Floats:
    """Scale the hazard of the first `days` so that no purchase within them has these log-odds.

    The shape of the curve up to `days` and the hazard after them stay.

    Parameters
    ----------
    curves
        P(purchase within d days), d = 1 to the horizon.
    days
        The days at which the log-odds hold.
    log_odds
        Of no purchase within `days`, one a curve.
    """
    hazard = -np.log(np.maximum(1 - curves, TINY))
    target = np.logaddexp(0, -log_odds)  # minus the log of the probability of no purchase
    factor = target / np.maximum(hazard[:, days - 1], TINY)
    after = hazard[:, days:] - hazard[:, days - 1 : days] + target[:, None]
    before = hazard[:, : days - 1] * factor[:, None]
    # Rounding must neither miss the target nor make a curve decrease.
    until = np.minimum(np.hstack([before, target[:, None]]), target[:, None])
    return np.asarray(-np.expm1(-np.hstack([until, after])))
