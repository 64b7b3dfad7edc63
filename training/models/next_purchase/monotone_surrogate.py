"""A model's nearest twin that rises with silence and falls with visits for certain.

Customers and what a free model says of them go in; trees that say nearly the same, bound by the
directions of `directed` and reading routines besides, come out. Next purchase rests its chance
within two months on it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.typing import Floats
from training.customers.monotone_inputs import min_over_last_visit, monotone_inputs
from training.estimators.bg_nbd import ModifiedBgNbd
from training.estimators.boosting import Booster

ROUNDS = 250
PARAMS = {
    "objective": "regression",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
}


@dataclass(frozen=True)
class MonotoneSurrogate:
    """Trees with signed features, fitted to log-odds of staying away for `horizon_days`."""

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
        """Fit to what another model says of these customers."""
        columns, signs = monotone_inputs(features, process, horizon_days)
        params = {**PARAMS, "monotone_constraints": signs}
        booster = Booster.fit(columns, log_odds, params, ROUNDS, threads=threads, seed=seed)
        return cls(horizon_days, process, booster)

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the log-odds of staying away."""
        columns, _ = monotone_inputs(features, self.process, self.horizon_days)
        return min_over_last_visit(self.booster.predict, columns, features)[0]

    def save(self, folder: Path) -> None:
        """Write the native booster and `twin.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster.save(folder / "booster")
        content = {"horizon_days": self.horizon_days, "process": asdict(self.process)}
        (folder / "twin.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / "twin.json").read_text())
        process = ModifiedBgNbd(**content["process"])
        return cls(content["horizon_days"], process, Booster.load(folder / "booster", threads))
