"""The learned ranker: boosted trees and a small neural network, and the probability of each list.

Codes of candidates' features in; scores and calibrated probabilities by list out. A published
version holds the ranker beside the codes of static features; a request adds those of context
features. Imported by serving, so it loads no library that only training needs; `ranker_training`
fits it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Floats
from training.estimators.boosting import Booster
from training.models.recommender.ranking.calibration import LogisticCalibration
from training.models.recommender.ranking.encoding import Codes, InputEncoding, decode
from training.models.recommender.ranking.neural import NeuralNet

# The lists, next basket (`now`), horizon (`month`) and products that are new to the customer
# (`explore`), and the weight of each learner's log-odds in them: boosters learn the next basket,
# the horizon, and the horizon of new products, the neural network (`net_`) the first two. The next
# basket is rare, the horizon more certain: together they rank the next basket 2 % better.
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "now": {"next": 1.0, "month": 1.0, "net_next": 1.0, "net_month": 1.0},
    "month": {"month": 1.0, "net_month": 1.0},
    "explore": {"explore": 1.0, "month": 1.0, "net_month": 1.0},
}
LISTS = tuple(WEIGHTS)

RANKER = "ranker.json"
NEURAL = "neural.npz"
# Rows that are scored together, so that a matrix of numbers stays small.
CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Ranker:
    """Boosters and a neural network, the encodings of their inputs, calibrations of the lists.

    Attributes
    ----------
    static, context
        Encodings of static and of context features; learners read both, in this order.
    boosters
        By learner: next basket, horizon, and horizon among new products (`explore`). Learners
        without positive training examples are absent.
    neural
        Its outputs are learners too.
    calibrations
        By list; a list without positive training examples has none and cannot be ranked.
    """

    static: InputEncoding
    context: InputEncoding
    boosters: Mapping[str, Booster]
    neural: NeuralNet
    calibrations: Mapping[str, LogisticCalibration]

    @property
    def columns(self) -> tuple[str, ...]:
        """Features in the order of the codes."""
        return self.static.columns + self.context.columns

    @property
    def lists(self) -> tuple[str, ...]:
        """Lists that can be ranked."""
        return tuple(self.calibrations)

    def codes(self, static: Codes, context: Mapping[str, NDArray[Any]]) -> Codes:
        """Append the codes of context features to those of static features."""
        return np.concatenate([static, self.context.encode(context, len(static))], axis=1)

    def scores(self, codes: Codes, lists: Sequence[str] = LISTS) -> dict[str, Floats]:
        """Return the scores of candidates by list."""
        scores = {name: np.zeros(len(codes)) for name in lists}
        for learner, log_odds in self.neural.scores(codes).items():
            for name in lists:
                scores[name] += WEIGHTS[name].get(learner, 0.0) * log_odds
        for start in range(0, len(codes), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            values = decode(codes[chunk])
            for learner, booster in self.boosters.items():
                weights = {name: WEIGHTS[name].get(learner, 0.0) for name in lists}
                if not any(weights.values()):
                    continue
                log_odds = np.asarray(
                    booster.native.predict(values, raw_score=True, num_threads=booster.threads)
                )
                for name, weight in weights.items():
                    scores[name][chunk] += weight * log_odds
        return scores

    def probability(
        self, list_name: str, scores: Mapping[str, Floats], basket_size: NDArray[Any]
    ) -> Floats:
        """Return the probability of purchase; NaN if the list cannot be ranked.

        Parameters
        ----------
        scores
            By list, one value per candidate.
        basket_size
            Mean number of products in the customer's baskets, one value per candidate.
        """
        if list_name not in self.calibrations:
            return np.full(len(basket_size), np.nan)
        size = np.asarray(basket_size, np.float64)
        return self.calibrations[list_name].probability(scores[list_name], size)

    def contributions(self, codes: Codes, list_name: str) -> list[pl.DataFrame]:
        """Split the scores of a list by feature, of each booster and of the network.

        Returns
        -------
        list of polars.DataFrame
            One column per feature, and `base`; all columns of all frames add up to the scores.
        """
        weights, features = WEIGHTS[list_name], pl.DataFrame(decode(codes), self.columns)
        frames = [
            booster.contributions(features) * weights[learner]
            for learner, booster in self.boosters.items()
            if learner in weights
        ]
        parts, neural = self.neural.attributions(codes, weights), self.neural.scores(codes)
        base = -parts.sum(axis=1)
        for learner, scores in neural.items():
            base += weights.get(learner, 0.0) * scores
        by_feature = np.column_stack([parts, base])
        return [*frames, pl.DataFrame(by_feature, [*self.columns, "base"], orient="row")]

    def save(self, folder: Path) -> None:
        """Write two files per booster, the network, and the encodings and calibrations."""
        folder.mkdir(parents=True, exist_ok=True)
        self.neural.save(folder / NEURAL)
        for learner, booster in self.boosters.items():
            booster.save(folder / learner)
        content = {
            "learners": list(self.boosters),
            "calibrations": {name: asdict(curve) for name, curve in self.calibrations.items()},
            "encodings": [
                {
                    "columns": encoding.columns,
                    "centre": encoding.centre.tolist(),
                    "spread": encoding.spread.tolist(),
                }
                for encoding in (self.static, self.context)
            ],
        }
        (folder / RANKER).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote; predict with `threads` processor threads."""
        content = json.loads((folder / RANKER).read_text())
        static, context = (
            InputEncoding(
                tuple(encoding["columns"]),
                np.array(encoding["centre"], np.float32),
                np.array(encoding["spread"], np.float32),
            )
            for encoding in content["encodings"]
        )
        calibrations = content["calibrations"].items()
        return cls(
            static,
            context,
            {name: Booster.load(folder / name, threads) for name in content["learners"]},
            NeuralNet.load(folder / NEURAL),
            {name: LogisticCalibration(**curve) for name, curve in calibrations},
        )
