"""The learned ranker: for each kind of list a taste and a moment that corrects it.

Features of candidates in, log-odds out. What time and place do not change is scored when
publishing; what they do change is a smaller booster that a request can afford.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.models.boosting import Booster, Floats
from training.models.chance import Chance

# What a list may be asked for: the next basket, the weeks of the horizon, what is new.
KINDS = ("now", "month", "explore")
# More of these in the days ahead never lowers a product.
PROMOTED = ("_this_week", "_chain")


@dataclass(frozen=True)
class Examples:
    """Candidates with what came of them.

    Attributes
    ----------
    taste, moment
        Features, aligned.
    worth
        Target of `now`: what the candidate was worth in the baskets that came, 0 to 1.
    in_next, in_window
        Whether it was in the next basket, and in any of the horizon.
    new
        Whether the customer had never bought it.
    size
        The customer's mean number of products in a basket.
    """

    taste: pl.DataFrame
    moment: pl.DataFrame
    worth: Floats
    in_next: NDArray[np.bool_]
    in_window: NDArray[np.bool_]
    new: NDArray[np.bool_]
    size: Floats


@dataclass(frozen=True)
class Ranker:
    """Two boosters and a curve for each kind of list.

    Attributes
    ----------
    taste, moment
        By kind; their raw scores add up.
    chance
        By kind.
    """

    taste: Mapping[str, Booster]
    moment: Mapping[str, Booster]
    chance: Mapping[str, Chance]

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
        """Learn every kind of list.

        Parameters
        ----------
        params
            LightGBM's.
        rounds
            Of the taste, and of the moment.
        negative_share
            Share of the candidates that nobody bought which the examples hold.
        """
        taste, moment, chance = {}, {}, {}
        for kind in KINDS:
            kept = examples.new if kind == "explore" else np.ones(len(examples.new), bool)
            chosen = pl.Series(kept)
            bought = (examples.in_next if kind == "now" else examples.in_window)[kept]
            if not bought.any() or bought.all():
                # Nothing to tell apart: whoever ranks by this kind finds it absent.
                continue
            label = examples.worth[kept] if kind == "now" else bought.astype(np.float64)
            first, second = examples.taste.filter(chosen), examples.moment.filter(chosen)
            settings = {"objective": "cross_entropy", **params}
            taste[kind] = Booster.fit(first, label, settings, rounds[0], threads=threads, seed=seed)
            raw = taste[kind].predict(first, raw_score=True)
            signs = [int(name.endswith(PROMOTED)) for name in second.columns]
            settings |= {"monotone_constraints": signs}
            moment[kind] = Booster.fit(
                second, label, settings, rounds[1], init_score=raw, threads=threads, seed=seed
            )
            raw = raw + moment[kind].predict(second, raw_score=True)
            weight = np.where(examples.in_window[kept], 1.0, 1.0 / negative_share)
            chance[kind] = Chance.fit(raw, examples.size[kept], bought, weight)
        return cls(taste, moment, chance)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of list that were learned."""
        return tuple(kind for kind in KINDS if kind in self.taste)

    def save(self, folder: Path) -> None:
        """Write two native files a kind, and the curves."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in self.kinds:
            self.taste[kind].save(folder / f"{kind}_taste")
        self.save_moment(folder)

    def save_moment(self, folder: Path) -> None:
        """Write what a request needs: the moment's boosters and the curves."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in self.kinds:
            self.moment[kind].save(folder / f"{kind}_moment")
        curves = {kind: vars(curve) for kind, curve in self.chance.items()}
        (folder / "chances.json").write_text(json.dumps(curves, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        curves = json.loads((folder / "chances.json").read_text())
        return cls(
            {kind: Booster.load(folder / f"{kind}_taste", threads) for kind in curves},
            {kind: Booster.load(folder / f"{kind}_moment", threads) for kind in curves},
            {kind: Chance(**curve) for kind, curve in curves.items()},
        )
