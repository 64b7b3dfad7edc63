"""The learned ranker: log-odds that a candidate is bought next, within the horizon, or newly.

Features of candidates in, log-odds by learner out: the mean of boosters and a neural network.
Static features are scored when a version is published. Boosters on context features, small
enough for a request, correct the static log-odds; the network reads both kinds of features.
`ranker_training` fits it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats
from training.estimators.boosting import Booster
from training.models.recommender.ranking.blend import NEURAL_OUTPUT, Blend, average_log_odds
from training.models.recommender.ranking.context_ranker import ContextRanker
from training.models.recommender.ranking.extrapolation import (
    EXTRAPOLATED_FEATURE,
    LinearExtrapolation,
)
from training.models.recommender.ranking.feature_columns import align_columns
from training.models.recommender.ranking.neural import Codes, NeuralNet
from training.models.recommender.ranking.neural_training import columns

EXTRAPOLATION = "extrapolation.json"


@dataclass(frozen=True)
class StaticScores:
    """Scores of candidates that do not depend on the context.

    Attributes
    ----------
    log_odds
        Of the boosters, by learner; NaN where a learner does not apply.
    codes
        Static inputs of the neural network.
    """

    log_odds: Mapping[str, Floats]
    codes: Codes


@dataclass(frozen=True)
class Ranker:
    """Boosters on static features, their extrapolation, and the context ranker.

    Attributes
    ----------
    static
        Boosters by learner.
    extrapolation
        Added to the static boosters' log-odds.
    context
        Boosters on context features, the neural network and the blend.
    """

    static: Mapping[str, Booster]
    extrapolation: LinearExtrapolation
    context: ContextRanker

    @property
    def learners(self) -> tuple[str, ...]:
        """Learners that had positive examples."""
        return tuple(self.static)

    @property
    def neural(self) -> NeuralNet:
        """The neural network."""
        return self.context.neural

    @property
    def blend(self) -> Blend:
        """The blend of the learners."""
        return self.context.blend

    def score_static(self, features: pl.DataFrame) -> StaticScores:
        """Score static features; `explore` is NaN for what the customer bought before."""
        log_odds = {}
        new = np.isnan(features.get_column("baskets").to_numpy())
        extrapolation = self.extrapolation.log_odds(features)
        for learner, booster in self.static.items():
            applies = new if learner == "explore" else np.ones(len(new), bool)
            log_odds[learner] = np.full(len(new), np.nan)
            if applies.any():  # LightGBM rejects an empty matrix
                rows = align_columns(features.filter(pl.Series(applies)), booster.columns)
                scores = booster.predict(rows, raw_score=True)
                log_odds[learner][applies] = scores + extrapolation[applies]
        return StaticScores(log_odds, static_codes(self.neural, features))

    def log_odds(
        self, static: StaticScores, context: pl.DataFrame, learners: Sequence[str] | None = None
    ) -> dict[str, Floats]:
        """Return log-odds of candidates by learner.

        Parameters
        ----------
        context
            Context features.
        learners
            All by default.
        """
        neural = self.neural.log_odds(self.neural.codes(static.codes, columns(context)))
        log_odds = {}
        for learner in self.learners if learners is None else learners:
            booster = self.context.boosters[learner]
            correction = booster.predict(align_columns(context, booster.columns), raw_score=True)
            log_odds[learner] = average_log_odds(
                learner, static.log_odds[learner] + correction, neural
            )
        return log_odds

    def contributions(
        self, learner: str, static: pl.DataFrame, context: pl.DataFrame
    ) -> list[pl.DataFrame]:
        """Split a learner's log-odds by feature: of two boosters, extrapolation and network.

        Returns
        -------
        list of polars.DataFrame
            One column per feature, and `base`; all columns of all frames add up to the log-odds.
        """
        boosters = ((static, self.static[learner]), (context, self.context.boosters[learner]))
        parts = [
            booster.contributions(align_columns(features, booster.columns))
            for features, booster in boosters
        ]
        parts.append(pl.DataFrame({EXTRAPOLATED_FEATURE: self.extrapolation.log_odds(static)}))
        codes = self.neural.codes(static_codes(self.neural, static), columns(context))
        neural = self.neural.contributions(codes)[NEURAL_OUTPUT[learner]]
        parts.append(pl.DataFrame(neural, schema=[*self.neural.columns, "base"], orient="row"))
        return [part / 2 for part in parts]

    def save(self, folder: Path) -> None:
        """Write two native files per learner, the extrapolation, the network and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.static.items():
            booster.save(folder / _booster_name(learner))
        (folder / EXTRAPOLATION).write_text(json.dumps(vars(self.extrapolation)))
        self.context.save(folder)

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote; predict with `threads` processor threads."""
        context = ContextRanker.load(folder, threads)
        static = {
            learner: Booster.load(folder / _booster_name(learner), threads)
            for learner in context.blend.scale
        }
        extrapolation = json.loads((folder / EXTRAPOLATION).read_text())
        return cls(static, LinearExtrapolation(**extrapolation), context)


def static_codes(neural: NeuralNet, features: pl.DataFrame) -> Codes:
    """Encode static features for the neural network."""
    return neural.static.encode(columns(features), features.height)


def _booster_name(learner: str) -> str:
    return f"{learner}_static"
