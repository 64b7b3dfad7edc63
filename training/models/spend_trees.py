"""What customers will spend over the horizon, by three boosters that err apart.

Customers at cuts and what they spent then go in; expected spend comes out. One booster learns the
spend of the horizon, one that of half of it, which is known of a newer cut, too; both as Tweedie
deviance. The third learns the root of the spend, which the largest spenders sway less. Each is
moved to the level of what was learnt, and their weighed mean answers. Value rests on it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.models.boosting import Booster

Floats = NDArray[np.float64]
# Fits a booster to a frame and a label, with further parameters.
Grow = Callable[[pl.DataFrame, Floats, Mapping[str, Any]], Booster]

ROOT = {"objective": "regression"}
LEAST = 1e-9
# What the root says of small and of large spenders lies off: with more of it the mean absolute
# error falls on, and deciles miss their level.
SHARE_OF_ROOT = 0.2


@dataclass(frozen=True)
class SpendTrees:
    """Three boosters, and what the answers of the last two are multiplied with."""

    whole: Booster
    half: Booster
    root: Booster
    half_scale: float
    root_scale: float

    @classmethod
    def fit(
        cls,
        grow: Grow,
        power: float,
        whole: tuple[pl.DataFrame, Floats],
        half: tuple[pl.DataFrame, Floats],
    ) -> Self:
        """Fit to customers and their spend in the horizon, and in half of it.

        Parameters
        ----------
        grow
            Fits one booster.
        power
            Of the Tweedie deviance.
        """
        inputs, spend = whole
        tweedie = {"objective": "tweedie", "tweedie_variance_power": power}
        found = cls(
            grow(inputs, spend, tweedie),
            grow(*half, tweedie),
            grow(inputs, np.sqrt(np.maximum(spend, 0.0)), ROOT),
            1.0,
            1.0,
        )
        of_half, of_root = found.half.predict(inputs).sum(), found._squared(inputs).sum()
        scales = (float(spend.sum() / max(total, LEAST)) for total in (of_half, of_root))
        return cls(found.whole, found.half, found.root, *scales)

    def predict(self, features: pl.DataFrame) -> Floats:
        """Return the expected spend."""
        half = self.half_scale * self.half.predict(features)
        root = self.root_scale * self._squared(features)
        mean = (self.whole.predict(features) + half) / 2
        return np.asarray((1 - SHARE_OF_ROOT) * mean + SHARE_OF_ROOT * root)

    def path_contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return what moved the two that speak in logs: a part a column, and `base`."""
        parts = [one.path_contributions(features) for one in (self.whole, self.half)]
        return pl.DataFrame(
            {name: (parts[0][name] + parts[1][name]) / 2 for name in parts[0].columns}
        )

    def save(self, folder: Path) -> None:
        """Write the native boosters and `scales.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("whole", "half", "root"):
            getattr(self, name).save(folder / name)
        scales = {"half_scale": self.half_scale, "root_scale": self.root_scale}
        (folder / "scales.json").write_text(json.dumps(scales))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        whole, half, root = (
            Booster.load(folder / name, threads) for name in ("whole", "half", "root")
        )
        scales = json.loads((folder / "scales.json").read_text())
        return cls(whole, half, root, scales["half_scale"], scales["root_scale"])

    def _squared(self, features: pl.DataFrame) -> Floats:
        return np.asarray(np.maximum(self.root.predict(features), 0.0) ** 2)
