"""The learned ranker: learners of what is bought next, later, and newly.

Features of candidates in, log-odds out: the mean of boosters' and a net's. What time and place
do not change is scored when publishing, the taste; what they do change, the moment, is a
booster small enough for a request and goes on from the taste's score. The net reads both at
request; publishing codes the taste for it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.typing import Floats
from training.estimators.boosting import Booster
from training.models.recommender.ranking.blend import OF_NET, WEIGHTS, Blend, beside, mixed
from training.models.recommender.ranking.calibration import LogisticCalibration
from training.models.recommender.ranking.examples import Examples, complete
from training.models.recommender.ranking.extrapolation import GROWING, Beyond
from training.models.recommender.ranking.neural import Codes, Net
from training.models.recommender.ranking.neural_training import columns, fit_net

# More of these in the days ahead never lowers a product.
PROMOTED = ("_this_week", "_chain", "_worth")
# A taste rests on so many features, those that a first short fit gains most by: on the
# bundled data 60 of 130 rank better than all, and cost half.
FEATURES = 64
SCOUT_ROUNDS = 30


@dataclass(frozen=True)
class Taste:
    """What does not depend on the moment, of candidates.

    Attributes
    ----------
    odds
        Boosters' log-odds by learner, NaN for what a learner is not asked about.
    codes
        What the net reads.
    """

    odds: Mapping[str, Floats]
    codes: Codes


@dataclass(frozen=True)
class Ranker:
    """Two boosters a learner, whose raw scores add up, a net, and how learners are blended."""

    taste: Mapping[str, Booster]
    moment: Mapping[str, Booster]
    beyond: Beyond
    net: Net
    blend: Blend

    @classmethod
    def fit(
        cls,
        examples: Examples,
        more: Examples,
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
        examples, more
            What boosters learn from, and the net: boosters gain nothing from older cuts.
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
        net = fit_net(
            more.taste.select([name for name in features if name not in more.moment.columns]),
            more.moment,
            {"next": more.in_next, "month": more.in_window},
            rising=[name for name in more.moment.columns if name.endswith(PROMOTED)],
            threads=threads,
            seed=seed,
        )
        odds = net.odds(net.codes(_codes(net, examples.taste), columns(examples.moment)))
        taste, moment, raw, scale = {}, {}, {}, {}
        everything = np.ones(len(examples.new), bool)
        for learner, label in labels.items():
            kept = examples.new if learner == "explore" else everything
            if not label[kept].any():
                # Nothing to tell apart: kinds of list do without this learner.
                continue
            chosen = pl.Series(kept)
            first, second = examples.taste.select(features).filter(chosen), examples.moment
            taste[learner], moment[learner], said = _boosted(
                first, second.filter(chosen), label[kept], params, rounds, threads, seed
            )
            boosted = np.full(len(label), np.nan)
            boosted[kept] = said
            raw[learner] = beside(learner, boosted, odds)
            scale[learner] = max(float(np.nanstd(raw[learner])), 1e-6)
        chance = {}
        weight = np.where(examples.in_window, 1.0, 1.0 / negative_share)
        for kind, weights in WEIGHTS.items():
            if not set(weights) & set(scale):
                continue
            score = mixed(kind, raw, scale)
            kept = ~np.isnan(score)
            bought = examples.in_next if kind == "now" else examples.in_window
            chance[kind] = LogisticCalibration.fit(
                score[kept], examples.size[kept], bought[kept], weight[kept]
            )
        return cls(taste, moment, Beyond.fit(examples.taste), net, Blend(scale, chance))

    @property
    def learners(self) -> tuple[str, ...]:
        """Those that had something to learn."""
        return tuple(self.taste)

    @property
    def moment_columns(self) -> tuple[str, ...]:
        """Features that the moment's boosters read, the same of all learners."""
        return next((booster.columns for booster in self.moment.values()), ())

    def taste_of(self, features: pl.DataFrame) -> Taste:
        """Answer what does not depend on the moment, of candidates.

        `explore` is asked about what is new to a customer alone: NaN for the rest.
        """
        found = {}
        new = np.isnan(features.get_column("baskets").to_numpy())
        beyond = self.beyond.odds(features)
        for learner, booster in self.taste.items():
            asked = new if learner == "explore" else np.ones(len(new), bool)
            found[learner] = np.full(len(new), np.nan)
            if asked.any():  # LightGBM refuses no rows
                rows = complete(features.filter(pl.Series(asked)), booster.columns)
                found[learner][asked] = booster.predict(rows, raw_score=True) + beyond[asked]
        return Taste(found, _codes(self.net, features))

    def moved(
        self, taste: Taste, features: pl.DataFrame, learners: Sequence[str] | None = None
    ) -> dict[str, Floats]:
        """Log-odds of candidates by learner, by default all, with what the moment makes of them."""
        net = self.net.odds(self.net.codes(taste.codes, columns(features)))
        return {
            learner: beside(learner, taste.odds[learner] + self._moved(learner, features), net)
            for learner in (self.learners if learners is None else learners)
        }

    def _moved(self, learner: str, features: pl.DataFrame) -> Floats:
        booster = self.moment[learner]
        return booster.predict(complete(features, booster.columns), raw_score=True)

    def contributions(
        self, learner: str, taste: pl.DataFrame, moment: pl.DataFrame
    ) -> list[pl.DataFrame]:
        """Split a learner's log-odds of candidates into parts: of two boosters, and of the net.

        Returns
        -------
        list of polars.DataFrame
            One column a feature, and `base`; all columns of all frames add up to the log-odds.
        """
        boosters = ((taste, self.taste[learner]), (moment, self.moment[learner]))
        parts = [one.contributions(complete(of, one.columns)) for of, one in boosters]
        parts.append(pl.DataFrame({GROWING: self.beyond.odds(taste)}))
        codes = self.net.codes(_codes(self.net, taste), columns(moment))
        shares = self.net.contributions(codes)[OF_NET[learner]]
        parts.append(pl.DataFrame(shares, schema=[*self.net.columns, "base"], orient="row"))
        return [part / 2 for part in parts]

    def save(self, folder: Path) -> None:
        """Write two native files a learner, the net and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.taste.items():
            booster.save(folder / f"{learner}_taste")
        (folder / "beyond.json").write_text(json.dumps(vars(self.beyond)))
        self.save_moment(folder)

    def save_moment(self, folder: Path) -> None:
        """Write what a request needs: the moment's boosters, the net and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.moment.items():
            booster.save(folder / f"{learner}_moment")
        self.net.save(folder / "net.npz")
        (folder / "blend.json").write_text(json.dumps(self.blend.to_json(), indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        blend = Blend.from_json(json.loads((folder / "blend.json").read_text()))
        return cls(
            {name: Booster.load(folder / f"{name}_taste", threads) for name in blend.scale},
            {name: Booster.load(folder / f"{name}_moment", threads) for name in blend.scale},
            Beyond(**json.loads((folder / "beyond.json").read_text())),
            Net.load(folder / "net.npz"),
            blend,
        )


def _boosted(
    first: pl.DataFrame,
    second: pl.DataFrame,
    label: Floats,
    params: Mapping[str, Any],
    rounds: tuple[int, int],
    threads: int,
    seed: int,
) -> tuple[Booster, Booster, Floats]:
    """Learn taste, then what the moment changes of it; return both, and the log-odds."""
    settings = {"objective": "cross_entropy", **params}
    taste = Booster.fit(first, label, settings, rounds[0], threads=threads, seed=seed)
    begun = taste.predict(first, raw_score=True)
    settings |= {
        "monotone_constraints": [int(name.endswith(PROMOTED)) for name in second.columns],
        "num_leaves": min(16, params["num_leaves"]),
        "feature_fraction": 0.5,
    }
    moment = Booster.fit(
        second, label, settings, rounds[1], init_score=begun, threads=threads, seed=seed
    )
    return taste, moment, begun + moment.predict(second, raw_score=True)


def _codes(net: Net, features: pl.DataFrame) -> Codes:
    return net.taste.codes(columns(features), features.height)
