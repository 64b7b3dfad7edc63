"""The chance that a customer stays away for some days: trees, a logit and MBG/NBD, weighed.

Customers followed from earlier cuts go in; log-odds of staying away come out. All members rise
with silence and fall with visits, so their weighed mean does, too; trees read the customer's
routine and who they are besides (`routines`), and every second of them is grown for half the
horizon. The weights are those that were best on a cut whose window none of the members had seen:
with little to learn from, the process counts for much, and with nothing it answers alone. Churn is
this at its horizon.
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
from training.models.churn.monotone_logistic import MonotoneLogit
from training.models.churn.seasonal_calibration import Line

# Weights of trees, logit and process are tried in such steps.
STEP = 0.1
LEVEL_STEPS = 6
# What is learnt has to be likelier than the process by so many nats before it is believed: where
# customers buy as the process says, all that can be learnt besides is noise.
DOUBT = 5.0
# Of members that nobody has tried yet.
EQUAL = (1 / 3, 1 / 3, 1 / 3)
MOST_CERTAIN = 12.0

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
        How trees are grown, and how many a booster has.
    members
        Pairs of boosters that are averaged, each pair of another seed.
    fewest_examples, fewest_of_each
        With fewer customers at cuts, or fewer of the rarer outcome among them, there are no trees:
        the logit and the process answer alone. Trees were not behind in the smallest shops that
        were tried, of 300 examples (`benchmarks/customers_size.py`): weights guard the stack.
    """

    trees: BoostingOptions = TREES
    rounds: int = 200
    members: int = 2
    fewest_examples: int = 300
    fewest_of_each: int = 30
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class ChurnEnsemble:
    """Weighed mean of the members' log-odds, on a line that calibrates it.

    Attributes
    ----------
    horizon_days
        Staying away for so long.
    process, logit, boosters
        The members; no boosters where there was too little to learn from, and no logit either
        where there was nothing.
    shifts
        What is added to each booster's log-odds: to stay away for half the horizon is likelier.
    weights
        Of the trees, the logit and the process; none below 0, together 1.
    line
        The calibration.
    """

    horizon_days: int
    process: ModifiedBgNbd
    logit: MonotoneLogit | None
    boosters: tuple[Booster, ...]
    shifts: tuple[float, ...]
    weights: tuple[float, float, float]
    line: Line = field(default_factory=Line)

    @classmethod
    def fit(
        cls,
        process: ModifiedBgNbd,
        horizon_days: int,
        cuts: Sequence[Cutoff],
        options: EnsembleOptions,
        weights: tuple[float, float, float] = EQUAL,
    ) -> Self:
        """Fit the members to customers followed from cuts.

        Cuts whose follow-up is shorter than the horizon count for half of it, if they are followed
        so far; one at least has to be followed for all of it.
        """
        whole = [cut for cut in cuts if cut.follow_up_days >= horizon_days]
        together = pl.concat(cut.features for cut in whole)
        label = np.concatenate([cut.churned(horizon_days) for cut in whole])
        known, rising = monotone_features(together, process, horizon_days)
        logit = MonotoneLogit.fit(known.to_numpy(), np.array(rising, dtype=np.float64), label)
        rarer = min(label.sum(), len(label) - label.sum())
        if len(label) < options.fewest_examples or rarer < options.fewest_of_each:
            return cls(horizon_days, process, logit, (), (), without_trees(weights))
        columns, signs = monotone_inputs(together, process, horizon_days)
        params = options.trees.params(objective="binary", monotone_constraints=signs)

        def grow(columns: pl.DataFrame, label: Floats, seed: int) -> Booster:
            return Booster.fit(
                columns, label, params, options.rounds, threads=options.threads, seed=seed
            )

        # Whether somebody stays away for half as long is known sooner, and has another share of
        # chance in it: trees that learnt the one and trees that learnt the other err apart.
        half = half_horizon(horizon_days)
        sooner = [cut for cut in cuts if cut.follow_up_days >= half]
        sooner_label = np.concatenate([cut.churned(half) for cut in sooner])
        sooner_columns, _ = monotone_inputs(
            pl.concat(cut.features for cut in sooner), process, horizon_days
        )
        boosters: list[Booster] = []
        shifts: list[float] = []
        for member in range(options.members):
            seed = options.seed + member
            of_all, of_half = grow(columns, label, seed), grow(sooner_columns, sooner_label, seed)
            boosters += [of_all, of_half]
            said = (one.predict(columns, raw_score=True) for one in (of_half, of_all))
            shifts += [0.0, _level(*said)]
        return cls(horizon_days, process, logit, tuple(boosters), tuple(shifts), weights)

    @classmethod
    def of_process(cls, process: ModifiedBgNbd, horizon_days: int) -> Self:
        """Return a stack that has learnt nothing: the process answers alone."""
        return cls(horizon_days, process, None, (), (), (0.0, 0.0, 1.0))

    def members(self, features: pl.DataFrame) -> Floats:
        """Return the members' log-odds, shape (customers, 3); 0 for those that there are not."""
        logit = np.zeros(features.height)
        if self.logit is not None:
            columns, _ = monotone_features(features, self.process, self.horizon_days)
            logit = self.logit.log_odds(columns.to_numpy())
        return np.stack([self._by_trees(features)[0], logit, self._by_process(features)], axis=1)

    def log_odds(self, features: pl.DataFrame) -> Floats:
        """Return the calibrated log-odds of staying away."""
        return self.line.of(self.members(features) @ np.array(self.weights))

    def chance(self, features: pl.DataFrame) -> Floats:
        """Return the chance of staying away."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features))))

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split the log-odds into a part a column and `base`; they add up to it.

        What the process says counts for the column `process_silence`.
        """
        known, _ = monotone_features(features, self.process, self.horizon_days)
        columns = self._by_trees(features)[1]
        trees, logit, process = self.weights
        parts = np.zeros((features.height, columns.width + 1))
        for booster, shift in zip(self.boosters, self.shifts, strict=True):
            share = trees / len(self.boosters)
            parts += share * booster.path_contributions(columns).to_numpy(order="c")
            parts[:, -1] += share * shift
        if self.logit is not None:
            parts[:, : known.width] += logit * self.logit.contributions(known.to_numpy())
            parts[:, -1] += logit * self.logit.intercept
        parts[:, columns.columns.index("process_silence")] += process * self._by_process(features)
        parts *= self.line.slope
        parts[:, -1] += self.line.shift
        return pl.DataFrame(parts, schema=[*columns.columns, "base"], orient="row")

    def save(self, folder: Path) -> None:
        """Write the native boosters and `stack.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, booster in enumerate(self.boosters):
            booster.save(folder / f"booster_{number}")
        content: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "process": asdict(self.process),
            "logit": self.logit and self.logit.to_json(),
            "shifts": self.shifts,
            "weights": self.weights,
            "line": asdict(self.line),
        }
        (folder / "stack.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / "stack.json").read_text())
        boosters = (
            Booster.load(folder / f"booster_{number}", threads)
            for number in range(len(content["shifts"]))
        )
        trees, logit, process = content["weights"]
        return cls(
            content["horizon_days"],
            ModifiedBgNbd(**content["process"]),
            MonotoneLogit.from_json(content["logit"]) if content["logit"] else None,
            tuple(boosters),
            tuple(content["shifts"]),
            (trees, logit, process),
            Line(**content["line"]),
        )

    def _by_trees(self, features: pl.DataFrame) -> tuple[Floats, pl.DataFrame]:
        """Return the trees' log-odds, 0 where there are none, and what they were read from."""

        def mean(columns: pl.DataFrame) -> Floats:
            found = np.zeros(columns.height)
            for booster, shift in zip(self.boosters, self.shifts, strict=True):
                found += (booster.predict(columns, raw_score=True) + shift) / len(self.boosters)
            return found

        columns, _ = monotone_inputs(features, self.process, self.horizon_days)
        return min_over_last_visit(mean, columns, features)

    def _by_process(self, features: pl.DataFrame) -> Floats:
        p = self.process.inactivity(*purchase_history(features), self.horizon_days)
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return np.asarray(np.clip(np.log(p / (1 - p)), -MOST_CERTAIN, MOST_CERTAIN))


def _level(log_odds: Floats, other: Floats) -> float:
    """Return what to add to log-odds so that their mean chance is that of the others."""
    wanted = expit(other).mean()
    return float(brentq(lambda shift: expit(log_odds + shift).mean() - wanted, -30.0, 30.0))


def best_weights(
    trials: Sequence[tuple[Floats, Floats, float]], *, with_trees: bool
) -> tuple[float, float, float]:
    """Return convex weights of the members, by how likely the labels of trials were under them.

    All weights on a grid count, each by its likelihood, less DOUBT for what is not the process's:
    the best alone is a matter of chance. The level of each trial is free, for a season that lies
    higher would speak for whom is always higher.

    Parameters
    ----------
    trials
        `ChurnEnsemble.members` of customers from whom nothing was learnt, their labels, and what
        the trial is worth: its likelihood counts so many times.
    """
    steps = round(1 / STEP)
    grid = (
        np.array(
            [
                (trees, logit, steps - trees - logit)
                for trees in range(steps + 1 if with_trees else 1)
                for logit in range(steps + 1 - trees)
            ]
        )
        / steps
    )
    likelihood = DOUBT * grid[:, 2]
    for members, label, worth in trials:
        odds = members @ grid.T
        for _ in range(LEVEL_STEPS):  # Newton's, on the shift of each column
            p = 1 / (1 + np.exp(-odds))
            slope = np.maximum((p * (1 - p)).mean(axis=0), 1e-6)
            odds = odds + np.clip((label.mean() - p.mean(axis=0)) / slope, -1, 1)
        likelihood += worth * (label[:, None] * odds - np.logaddexp(0, odds)).sum(axis=0)
    share = np.exp(likelihood - likelihood.max())
    trees, logit, process = (share @ grid / share.sum()).tolist()
    return trees, logit, process


def without_trees(weights: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the weights with those of the trees given to the logit."""
    trees, logit, process = weights
    return (0.0, logit + trees, process)
