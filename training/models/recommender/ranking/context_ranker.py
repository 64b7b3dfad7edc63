"""The part of the ranker that a request evaluates, and its files.

Static scores and context features in; log-odds out. A published version holds these files beside
the static scores of its candidates. Imported by serving, so it loads no library that only
training needs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from training.estimators.boosting import Booster
from training.models.recommender.ranking.blend import Blend
from training.models.recommender.ranking.neural import NeuralNet

BLEND = "blend.json"
NEURAL = "neural.npz"


@dataclass(frozen=True)
class ContextRanker:
    """Boosters on context features, the neural network and the blend.

    Attributes
    ----------
    boosters
        By learner. Their raw scores are added to the static boosters' log-odds.
    neural
        Averaged with the boosters.
    blend
        Combines the learners.
    """

    boosters: Mapping[str, Booster]
    neural: NeuralNet
    blend: Blend

    @property
    def columns(self) -> tuple[str, ...]:
        """Context features of the boosters, the same for all learners."""
        return next((booster.columns for booster in self.boosters.values()), ())

    def save(self, folder: Path) -> None:
        """Write one native file per learner, the network and the blend."""
        folder.mkdir(parents=True, exist_ok=True)
        for learner, booster in self.boosters.items():
            booster.save(folder / _booster_name(learner))
        self.neural.save(folder / NEURAL)
        (folder / BLEND).write_text(json.dumps(self.blend.to_json(), indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote; predict with `threads` processor threads."""
        blend = Blend.from_json(json.loads((folder / BLEND).read_text()))
        boosters = {
            learner: Booster.load(folder / _booster_name(learner), threads)
            for learner in blend.scale
        }
        return cls(boosters, NeuralNet.load(folder / NEURAL), blend)


def _booster_name(learner: str) -> str:
    return f"{learner}_context"
