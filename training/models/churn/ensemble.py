"""Stacking ensemble of churn: boosted trees, a monotone logistic regression and MBG/NBD.

Customer features at cutoffs with follow-up go in, log-odds of churn come out. All members increase
with inactivity and decrease with visits, and so does their weighted mean. Trees also read usual
behaviour and attributes. Half of the boosters are trained on half of the horizon.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit

from features.typing import Floats
from training.customers.cutoffs import Cutoff, half_horizon
from training.customers.monotone_features import monotone_features
from training.customers.monotone_inputs import min_over_last_visit, monotone_inputs
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.models.churn.ensemble_weights import EQUAL_WEIGHTS, Weights, without_trees
from training.models.churn.monotone_logistic import MonotoneLogit
from training.models.churn.seasonal_calibration import PlattScaling

MAX_LOG_ODDS = 12.0
FILE = "ensemble.json"
BOOSTER_PREFIX = "booster_"

TREES = BoostingOptions(
    learning_rate=0.04,
    num_leaves=12,
    min_data_in_leaf=60,
    feature_fraction=0.15,
    lambda_l2=5.0,
)


@dataclass(frozen=True)
class EnsembleOptions:
    """Options of the ensemble's boosters.

    Attributes
    ----------
    trees, rounds
        Options of the trees, and their number in a booster.
    members
        Pairs of boosters that are averaged, each pair with its own seed.
    min_examples, min_per_class
        With fewer customers at cutoffs, or fewer of the rarer outcome among them, the ensemble has
        no trees. In the smallest samples that were measured, of 300 examples, trees were not worse
        (`benchmarks/customers_size.py`): the weights limit their influence.
    seed, threads
        Seed of the first pair; processor threads to fit with.
    """

    trees: BoostingOptions = TREES
    rounds: int = 200
    members: int = 2
    min_examples: int = 300
    min_per_class: int = 30
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class ChurnEnsemble:
    """Weighted mean of the members' log-odds of churn, calibrated.

    Attributes
    ----------
    horizon_days
        Churn is no purchase within so many days.
    process, logit, boosters
        The members. There are no boosters where examples are few, and no `logit` where there are
        none.
    offsets
        Added to each booster's log-odds: no purchase within half the horizon is more probable than
        within the horizon.
    weights
        Of boosters, logit and process; not negative, their sum is 1.
    calibration
        Applied to the weighted mean.
    """

    horizon_days: int
    process: ModifiedBgNbd
    logit: MonotoneLogit | None
    boosters: tuple[Booster, ...]
    offsets: tuple[float, ...]
    weights: Weights
    calibration: PlattScaling = field(default_factory=PlattScaling)

    @classmethod
    def fit(
        cls,
        process: ModifiedBgNbd,
        horizon_days: int,
        cutoffs: Sequence[Cutoff],
        options: EnsembleOptions,
        weights: Weights = EQUAL_WEIGHTS,
    ) -> Self:
        """Fit the members to customers at cutoffs.

        Parameters
        ----------
        process
            The fitted buy-till-you-die model.
        horizon_days
            Churn is no purchase within so many days.
        cutoffs
            Past cutoffs. Those with follow-up of at least half the horizon train the boosters of
            half the horizon; the others need complete follow-up, and one cutoff must have it.
        options
            Options of the boosters.
        weights
            Of boosters, logit and process.
        """
        complete = [cutoff for cutoff in cutoffs if cutoff.follow_up_days >= horizon_days]
        features = pl.concat(cutoff.features for cutoff in complete)
        label = np.concatenate([cutoff.churned(horizon_days) for cutoff in complete])
        columns, signs = monotone_features(features, process, horizon_days)
        logit = MonotoneLogit.fit(columns.to_numpy(), np.array(signs, dtype=np.float64), label)
        rarer = min(label.sum(), len(label) - label.sum())
        if len(label) < options.min_examples or rarer < options.min_per_class:
            return cls(horizon_days, process, logit, (), (), without_trees(weights))
        boosters, offsets = _fit_boosters(process, horizon_days, cutoffs, options)
        return cls(horizon_days, process, logit, boosters, offsets, weights)

    @classmethod
    def from_process(cls, process: ModifiedBgNbd, horizon_days: int) -> Self:
        """Return an ensemble of the buy-till-you-die model alone."""
        return cls(horizon_days, process, None, (), (), (0.0, 0.0, 1.0))

    def member_log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the members' log-odds, shape (customers, 3); 0 for missing members."""
        logit = np.zeros(features.height)
        if self.logit is not None:
            columns, _ = monotone_features(features, self.process, self.horizon_days)
            logit = self.logit.log_odds(columns.to_numpy())
        trees, _ = self._tree_log_odds(features)
        return np.stack([trees, logit, self._process_log_odds(features)], axis=1)

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the calibrated log-odds of churn."""
        return self.calibration.apply(self.member_log_odds(features) @ np.array(self.weights))

    def probability(self, features: pl.DataFrame) -> Floats:
        """Return the churn probability."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features))))

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split the log-odds into one part a column and `base`; the parts add up to the log-odds.

        The log-odds of the buy-till-you-die model are attributed to `process_inactivity`.
        """
        monotone, _ = monotone_features(features, self.process, self.horizon_days)
        _, columns = self._tree_log_odds(features)
        trees, logit, process = self.weights
        parts = np.zeros((features.height, columns.width + 1))
        for booster, offset in zip(self.boosters, self.offsets, strict=True):
            weight = trees / len(self.boosters)
            parts += weight * booster.path_contributions(columns).to_numpy(order="c")
            parts[:, -1] += weight * offset
        if self.logit is not None:
            parts[:, : monotone.width] += logit * self.logit.contributions(monotone.to_numpy())
            parts[:, -1] += logit * self.logit.intercept
        position = columns.columns.index("process_inactivity")
        parts[:, position] += process * self._process_log_odds(features)
        parts *= self.calibration.slope
        parts[:, -1] += self.calibration.intercept
        return pl.DataFrame(parts, schema=[*columns.columns, "base"], orient="row")

    def save(self, folder: Path) -> None:
        """Write the native boosters and `ensemble.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, booster in enumerate(self.boosters):
            booster.save(folder / f"{BOOSTER_PREFIX}{number}")
        content: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "process": asdict(self.process),
            "logit": self.logit and self.logit.to_json(),
            "offsets": self.offsets,
            "weights": self.weights,
            "calibration": asdict(self.calibration),
        }
        (folder / FILE).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / FILE).read_text())
        boosters = (
            Booster.load(folder / f"{BOOSTER_PREFIX}{number}", threads)
            for number in range(len(content["offsets"]))
        )
        trees, logit, process = content["weights"]
        return cls(
            content["horizon_days"],
            ModifiedBgNbd(**content["process"]),
            MonotoneLogit.from_json(content["logit"]) if content["logit"] else None,
            tuple(boosters),
            tuple(content["offsets"]),
            (trees, logit, process),
            PlattScaling(**content["calibration"]),
        )

    def _tree_log_odds(self, features: pl.DataFrame) -> tuple[Floats, pl.DataFrame]:
        """Return the boosters' mean log-odds (0 without boosters), and their input columns."""

        def mean(columns: pl.DataFrame) -> Floats:
            total = np.zeros(columns.height)
            for booster, offset in zip(self.boosters, self.offsets, strict=True):
                total += (booster.predict(columns, raw_score=True) + offset) / len(self.boosters)
            return total

        columns, _ = monotone_inputs(features, self.process, self.horizon_days)
        return min_over_last_visit(mean, columns, features)

    def _process_log_odds(self, features: pl.DataFrame) -> Floats:
        p = self.process.inactivity(*purchase_history(features), self.horizon_days)
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return np.asarray(np.clip(np.log(p / (1 - p)), -MAX_LOG_ODDS, MAX_LOG_ODDS))


def _fit_boosters(
    process: ModifiedBgNbd,
    horizon_days: int,
    cutoffs: Sequence[Cutoff],
    options: EnsembleOptions,
) -> tuple[tuple[Booster, ...], tuple[float, ...]]:
    """Fit pairs of boosters, of the horizon and of half of it, with their offsets.

    Outcomes of half the horizon are known of newer cutoffs and have other noise, so the errors of
    both boosters of a pair are less correlated than those of two of the same horizon.
    """

    def examples(days: int) -> tuple[pl.DataFrame, Floats, list[int]]:
        followed = [cutoff for cutoff in cutoffs if cutoff.follow_up_days >= days]
        features = pl.concat(cutoff.features for cutoff in followed)
        columns, signs = monotone_inputs(features, process, horizon_days)
        return columns, np.concatenate([cutoff.churned(days) for cutoff in followed]), signs

    columns, label, signs = examples(horizon_days)
    half_columns, half_label, _ = examples(half_horizon(horizon_days))
    params = options.trees.params(objective="binary", monotone_constraints=signs)

    def fit(columns: pl.DataFrame, label: Floats, seed: int) -> Booster:
        return Booster.fit(
            columns, label, params, options.rounds, threads=options.threads, seed=seed
        )

    boosters: list[Booster] = []
    offsets: list[float] = []
    for member in range(options.members):
        seed = options.seed + member
        full, half = fit(columns, label, seed), fit(half_columns, half_label, seed)
        boosters += [full, half]
        offsets += [
            0.0,
            _level_offset(
                half.predict(columns, raw_score=True), full.predict(columns, raw_score=True)
            ),
        ]
    return tuple(boosters), tuple(offsets)


def _level_offset(log_odds: Floats, reference: Floats) -> float:
    """Return the offset at which both have the same mean probability."""
    mean = expit(reference).mean()
    return float(brentq(lambda offset: expit(log_odds + offset).mean() - mean, -30.0, 30.0))
