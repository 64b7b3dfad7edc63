"""Labelled feature rows in; boosters of the mean, and out-of-fold forecasts, out.

The boosters are averaged. Each leaves out one fold of the periods (`training_rows.assign_folds`),
on which its errors are those of a forecast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from features.demand.grain import Grain
from features.typing import Bools, Floats, Ints
from training.estimators.boosting import Booster, BoostingOptions
from training.models.demand.inputs import excluded_columns, input_columns
from training.models.demand.monotone_constraints import monotone_constraints
from training.models.demand.training_rows import assign_folds, with_hidden_plans

# Rounds are at most so many times the option's, where they lower the error of held-out periods by
# this share: smooth series bear more trees than noisy ones.
_MAX_ROUNDS_FACTOR = 3
_LEAST_GAIN = 0.01
# Rounds without a gain after which boosting stops.
_PATIENCE = 10


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
        boosters: list[Booster] = []
        for member in range(members):
            learned = fold != member if members > 1 else np.ones(rows.height, dtype=bool)
            inputs = with_hidden_plans(features, self.seed, member + 1)
            inputs = inputs.drop(excluded_columns(self.grain, member), strict=False)
            parts = (inputs, units, offset)
            if member == 0 and members > 1:
                booster = self._boost(*_rows(parts, learned), rounds, 0, _rows(parts, ~learned))
                rounds = booster.native.best_iteration
            else:
                booster = self._boost(*_rows(parts, learned), rounds, member)
            boosters.append(booster)
        return tuple(boosters), fold

    def _boost(
        self,
        features: pl.DataFrame,
        units: Floats,
        offset: Floats,
        rounds: int,
        member: int,
        held_out: tuple[pl.DataFrame, Floats, Floats] | None = None,
    ) -> Booster:
        """Fit one booster; with `held_out` rows, with as many rounds as lower their error."""
        constraints = monotone_constraints(features, units, offset)
        # A month carries the information of about four weeks.
        least = math.ceil(self.trees.min_data_in_leaf * min(7 / self.grain.days, 1))
        params = replace(self.trees, min_data_in_leaf=least).params(
            objective="tweedie",
            tweedie_variance_power=1.2,
            max_bin=63,
            # Bins need fewer rows than trees.
            bin_construct_sample_cnt=50_000,
            monotone_constraints=[constraints.get(name, 0) for name in features.columns],
        )
        booster = Booster.fit(
            features,
            units,
            params,
            rounds if held_out is None else _MAX_ROUNDS_FACTOR * rounds,
            categorical=[name for name in features.columns if name.startswith("group_")],
            init_score=np.log(offset),
            valid=None if held_out is None else held_out[:2],
            valid_init_score=None if held_out is None else np.log(held_out[2]),
            early_stopping_rounds=_PATIENCE,
            threads=self.threads,
            seed=self.seed + member,
        )
        if held_out is not None:
            booster.native.best_iteration = _useful_rounds(booster, rounds, *held_out)
        return booster


def _useful_rounds(
    booster: Booster, rounds: int, features: pl.DataFrame, units: Floats, offset: Floats
) -> int:
    """Return the best number of rounds, or `rounds` where more hardly lower the error."""

    def error(count: int) -> float:
        booster.native.best_iteration = count
        forecast = offset * np.exp(booster.predict(features, raw_score=True))
        return float(((units - forecast) ** 2 / forecast).sum())

    best = booster.native.best_iteration
    few = min(rounds, booster.native.current_iteration())
    a, b = error(best), error(few)
    return best if best > few and a < (1 - _LEAST_GAIN) * b else few


def _rows(
    parts: tuple[pl.DataFrame, Floats, Floats], chosen: Bools
) -> tuple[pl.DataFrame, Floats, Floats]:
    features, units, offset = parts
    return features.filter(chosen), units[chosen], offset[chosen]


def out_of_fold_ratio(boosters: Sequence[Booster], features: pl.DataFrame, fold: Ints) -> Floats:
    """Return units over expected units of each row, by the booster that left it out."""
    ratio = np.zeros(features.height)
    for member, booster in enumerate(boosters):
        held_out = fold == member
        ratio[held_out] = np.exp(booster.predict(features.filter(held_out), raw_score=True))
    return ratio
