"""Labelled feature rows in; boosters of the mean, and out-of-fold forecasts, out.

The boosters are averaged. Each leaves out one fold of the periods (`training_rows.assign_folds`),
on which its errors are those of a forecast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.demand.grain import Grain
from features.typing import Floats, Ints
from training.estimators.boosting import Booster, BoostingOptions
from training.models.demand.inputs import excluded_columns, input_columns
from training.models.demand.monotone_constraints import monotone_constraints
from training.models.demand.training_rows import assign_folds, with_hidden_plans


@dataclass(frozen=True)
class GlobalBoosting:
    """How the global model is fitted.

    Attributes
    ----------
    grain
        Definition of a series.
    trees, rounds, members
        How trees are grown, their number, and the number of boosters.
    seed, threads
        Of the boosting.
    """

    grain: Grain
    trees: BoostingOptions
    rounds: int
    members: int
    seed: int
    threads: int

    def fit(
        self, rows: pl.DataFrame, expected: Floats, factor: Floats, strength: float
    ) -> tuple[tuple[Booster, ...], Ints]:
        """Fit the boosters; return them and the number of the one that left out each row.

        Parameters
        ----------
        rows
            Labelled features of past origins.
        expected, factor
            Expected units of each row, and the common factor that is removed from its label.
        strength
            0 to 1, scales the rounds. Boosting learns the simplest effects first, and short
            records support no others; the boosters grow in inverse proportion, at equal cost.
        """
        features = rows.select(input_columns(rows))
        units, offset = rows.get_column("units").to_numpy(), expected * factor
        rounds, members = math.ceil(self.rounds * strength), self.members
        if members > 1:
            members = round(members / strength)
        fold = assign_folds(rows, members, self.grain.days)
        boosters = []
        for member in range(members):
            learned = fold != member if members > 1 else np.ones(rows.height, dtype=bool)
            inputs = with_hidden_plans(features, self.seed, member + 1)
            inputs = inputs.drop(excluded_columns(self.grain, member), strict=False)
            boosters.append(
                self._boost(inputs.filter(learned), units[learned], offset[learned], rounds, member)
            )
        return tuple(boosters), fold

    def _boost(
        self, features: pl.DataFrame, units: Floats, offset: Floats, rounds: int, member: int
    ) -> Booster:
        constraints = monotone_constraints(features, units, offset)
        params = self.trees.params(
            objective="tweedie",
            tweedie_variance_power=1.2,
            max_bin=63,
            # Bins need fewer rows than trees.
            bin_construct_sample_cnt=50_000,
            monotone_constraints=[constraints.get(name, 0) for name in features.columns],
        )
        return Booster.fit(
            features,
            units,
            params,
            rounds,
            categorical=[name for name in features.columns if name.startswith("group_")],
            init_score=np.log(offset),
            threads=self.threads,
            seed=self.seed + member,
        )


def out_of_fold_ratio(boosters: Sequence[Booster], features: pl.DataFrame, fold: Ints) -> Floats:
    """Return units over expected units of each row, by the booster that left it out."""
    ratio = np.zeros(features.height)
    for member, booster in enumerate(boosters):
        held_out = fold == member
        ratio[held_out] = np.exp(booster.predict(features.filter(held_out), raw_score=True))
    return ratio
