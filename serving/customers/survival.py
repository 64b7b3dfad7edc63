"""What a request asks of days until a purchase, read off curves; anything or one category."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.typing import Floats
from training.customers.survival import WITHIN_DAYS, quantile_name, quantile_of, within
from training.estimators.bg_nbd import BgNbd

# Of the published answer; which chances and which further quantiles is the request's to say.
CHANCES = tuple(f"p_within_{days}" for days in WITHIN_DAYS)


@dataclass(frozen=True)
class Waits:
    """Curves of some customers, and the process that they go on by beyond the follow-up.

    Attributes
    ----------
    curves
        P(purchase within d days), d = 1 to the follow-up's end, one row each.
    process, history
        What each is known by: frequency, recency and age (`training.customers.survival.within`).
    """

    curves: Floats
    process: BgNbd
    history: tuple[Floats, Floats, Floats]

    def chance(self, days: int) -> Floats:
        """Return P(purchase within so many days) of each."""
        return within(self.curves, days, self.process, self.history)

    def read(self, within_days: Sequence[int], quantiles: Sequence[float]) -> list[dict[str, Any]]:
        """Read chances and quantiles: for each, what was asked by its name.

        `extrapolated` names the chances that lie beyond the follow-up.
        """
        columns = {f"p_within_{days}": self.chance(days) for days in within_days}
        columns |= {quantile_name(level): quantile_of(self.curves, level) for level in quantiles}
        values = np.stack(list(columns.values()), axis=1).tolist()
        beyond = [f"p_within_{days}" for days in within_days if days > self.curves.shape[1]]
        return [dict(zip(columns, row, strict=True)) | {"extrapolated": beyond} for row in values]


def lean(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out the published chances: which are answered is the request's to say."""
    return {name: value for name, value in row.items() if name not in CHANCES}
