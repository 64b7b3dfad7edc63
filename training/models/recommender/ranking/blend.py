"""Blend of the learners' log-odds into the score of each list, and its calibration.

Log-odds by learner in; a score and a probability of purchase for each list out. Imported by
serving, so it loads no library that only training needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Floats
from training.models.recommender.ranking.calibration import LogisticCalibration

# The lists: next basket (`now`), horizon (`month`), products that are new to the customer
# (`explore`); and the weight of each learner's standardised log-odds in them. Learners with
# different errors rank better together: NDCG over the horizon is .424 on the bundled data,
# against .420 of one learner alone.
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "now": {"next": 1.0, "month": 0.3},
    "month": {"month": 1.0, "next": 0.35},
    "explore": {"explore": 1.0, "month": 1.0},
}
LISTS = tuple(WEIGHTS)
# Output of the neural network that is averaged with each learner's boosters.
NEURAL_OUTPUT = {"next": "next", "month": "month", "explore": "month"}


@dataclass(frozen=True)
class Blend:
    """Scales of the learners and calibrations of the lists.

    Attributes
    ----------
    scale
        Standard deviation of each learner's log-odds over its training examples.
    calibrations
        By list.
    """

    scale: Mapping[str, float]
    calibrations: Mapping[str, LogisticCalibration]

    @property
    def lists(self) -> tuple[str, ...]:
        """Lists that can be ranked."""
        return tuple(self.calibrations)

    def learners_for(self, lists: tuple[str, ...]) -> tuple[str, ...]:
        """Return the learners that contribute to some lists."""
        learners = {learner for list_name in lists for learner in WEIGHTS[list_name]}
        return tuple(name for name in self.scale if name in learners)

    def score(self, list_name: str, log_odds: Mapping[str, Floats]) -> Floats:
        """Blend log-odds by learner into the score of a list."""
        return weighted_sum(list_name, log_odds, self.scale)

    def probability(
        self, list_name: str, log_odds: Mapping[str, Floats], basket_size: NDArray[Any]
    ) -> Floats:
        """Return the probability of purchase.

        Parameters
        ----------
        log_odds
            By learner, one value per candidate.
        basket_size
            Mean number of products in the customer's baskets, one value per candidate.
        """
        size = np.asarray(basket_size, np.float64)
        return self.calibrations[list_name].probability(self.score(list_name, log_odds), size)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        calibrations = {name: vars(curve) for name, curve in self.calibrations.items()}
        return {"scale": dict(self.scale), "calibrations": calibrations}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build a blend from the values that `to_json` returned."""
        calibrations = {
            name: LogisticCalibration(**curve) for name, curve in values["calibrations"].items()
        }
        return cls(values["scale"], calibrations)


def weighted_sum(
    list_name: str, log_odds: Mapping[str, Floats], scale: Mapping[str, float]
) -> Floats:
    """Add up standardised log-odds by the list's weights; learners without a scale are omitted."""
    total = sum(
        weight / scale[learner] * log_odds[learner]
        for learner, weight in WEIGHTS[list_name].items()
        if learner in scale
    )
    return np.asarray(total, dtype=np.float64)


def average_log_odds(learner: str, boosted: Floats, neural: Mapping[str, Floats]) -> Floats:
    """Average the log-odds of a learner's boosters and of the neural network."""
    return (boosted + neural[NEURAL_OUTPUT[learner]]) / 2
