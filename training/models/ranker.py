"""The learned ranker: learners of what is bought next, later, and newly.

Features of candidates in, log-odds out. What time and place do not change is scored when
publishing, the taste; what they do change, the moment, is a booster small enough for a request
and goes on from the taste's score.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from training.models.blend import WEIGHTS, Blend, mixed
from training.models.boosting import Booster, Floats
from training.models.chance import Chance
from training.models.ranking_examples import Examples, complete

# More of these in the days ahead never lowers a product.
PROMOTED = ("_this_week", "_chain", "_worth")
# A taste rests on so many features, those that a first short fit gains most by: on the
# bundled data 60 of 130 rank better than all, and cost half.
FEATURES = 64
SCOUT_ROUNDS = 30


@dataclass(frozen=True)
class Ranker:
    """Two boosters a learner, whose raw scores add up, and how learners are blended."""

    taste: Mapping[str, Booster]
    moment: Mapping[str, Booster]
    blend: Blend

    @classmethod
    def fit(
        cls,
        examples: Examples,
        params: Mapping[str, Any],
        rounds: tuple[int, int],
        *,
        negative_share: float,
        threads: int,
        seed: int,
    ) -> Self:
        """Learn everything.

        Parameters
        ----------
        params
            LightGBM's.
        rounds
            Of the taste, and of the moment.
        negative_share
            Share of the candidates that nobody bought which the examples hold.
        """
        labels = {
            "next": examples.worth,
            "month": examples.in_window.astype(np.float64),
            "explore": examples.in_window.astype(np.float64),
        }
        scout = Booster.fit(
            examples.taste,
            labels["month"],
            {"objective": "cross_entropy", **params},
            SCOUT_ROUNDS,
            threads=threads,
            seed=seed,
        )
        features = sorted(list(scout.importance())[:FEATURES])
        taste, moment, raw, scale = {}, {}, {}, {}
        everything = np.ones(len(examples.new), bool)
        for learner, label in labels.items():
            kept = examples.new if learner == "explore" else everything
            if not label[kept].any():
                # Nothing to tell apart: kinds of list do without this learner.
                continue
            settings: dict[str, Any] = {"objective": "cross_entropy", **params}
            chosen = pl.Series(kept)
            first = examples.taste.select(features).filter(chosen)
            taste[learner] = Booster.fit(
                first, label[kept], settings, rounds[0], threads=threads, seed=seed
            )
            begun = taste[learner].predict(first, raw_score=True)
            second = examples.moment.filter(chosen)
            signs = [int(name.endswith(PROMOTED)) for name in second.columns]
            settings |= {
                "monotone_constraints": signs,
                "num_leaves": min(16, params["num_leaves"]),
                "feature_fraction": 0.5,
            }
            moment[learner] = Booster.fit(
                second,
                label[kept],
                settings,
                rounds[1],
                init_score=begun,
                threads=threads,
                seed=seed,
            )
            raw[learner] = np.full(len(label), np.nan)
            raw[learner][kept] = begun + moment[learner].predict(second, raw_score=True)
            scale[learner] = max(float(np.nanstd(raw[learner])), 1e-6)
        chance = {}
        weight = np.where(examples.in_window, 1.0, 1.0 / negative_share)
        for kind, weights in WEIGHTS.items():
            if not set(weights) & set(scale):
                continue
            score = mixed(kind, raw, scale)
            kept = ~np.isnan(score)
            bought = examples.in_next if kind == "now" else examples.in_window
            chance[kind] = Chance.fit(score[kept], examples.size[kept], bought[kept], weight[kept])
        return cls(taste, moment, Blend(scale, chance))

    @property
    def learners(self) -> tuple[str, ...]:
        """Those that had something to learn."""
        return tuple(self.taste)

    def tastes(self, features: pl.DataFrame) -> dict[str, Floats]:
        """Log-odds of candidates by learner, before the moment corrects them.

        `explore` is asked about what is new to a customer alone: NaN for the rest.
        """
        found = {}
        new = np.isnan(features.get_column("baskets").to_numpy())
        for learner, booster in self.taste.items():
            asked = new if learner == "explore" else np.ones(len(new), bool)
            found[learner] = np.full(len(new), np.nan)
            if asked.any():  # LightGBM refuses no rows
                rows = complete(features.filter(pl.Series(asked)), booster.columns)
                found[learner][asked] = booster.predict(rows, raw_score=True)
        return found

    def moved(
        self,
        tastes: Mapping[str, Floats],
        features: pl.DataFrame,
        learners: Sequence[str] | None = None,
    ) -> dict[str, Floats]:
        """Log-odds of candidates by learner, by default all, with what the moment makes of them."""
        return {
            learner: tastes[learner] + self._moved(learner, features)
            for learner in (self.learners if learners is None else learners)
        }

    def _moved(self, learner: str, features: pl.DataFrame) -> Floats:
        booster = self.moment[learner]
        return booster.predict(complete(features, booster.columns), raw_score=True)

    def save(self, folder: Path) -> None:
        """Write two native files a learner, and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.taste.items():
            booster.save(folder / f"{learner}_taste")
        self.save_moment(folder)

    def save_moment(self, folder: Path) -> None:
        """Write what a request needs: the moment's boosters and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.moment.items():
            booster.save(folder / f"{learner}_moment")
        (folder / "blend.json").write_text(json.dumps(self.blend.to_json(), indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        blend = Blend.from_json(json.loads((folder / "blend.json").read_text()))
        return cls(
            {name: Booster.load(folder / f"{name}_taste", threads) for name in blend.scale},
            {name: Booster.load(folder / f"{name}_moment", threads) for name in blend.scale},
            blend,
        )
