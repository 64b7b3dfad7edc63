"""Probabilities and quantiles of the days to a purchase: published curves in, answers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.typing import Floats
from training.customers.survival import (
    QUANTILES,
    WITHIN_DAYS,
    check_days,
    probability_within,
    quantile,
    quantile_name,
)
from training.estimators.bg_nbd import BgNbd

# Columns of the published answers; a request chooses its own days.
PUBLISHED_PROBABILITIES = tuple(f"p_within_{days}" for days in WITHIN_DAYS)


@dataclass(frozen=True)
class SurvivalOptions:
    """What a request chooses to read off the distribution of days to the next purchase.

    Attributes
    ----------
    within_days
        For each, the probability of a purchase within so many days.
    quantiles
        Levels of the distribution, besides q10, q50 and q90.
    """

    within_days: Sequence[int] = WITHIN_DAYS
    quantiles: Sequence[float] = QUANTILES

    def check(self) -> None:
        """Check the days.

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650.
        """
        check_days(self.within_days, "within_days")


@dataclass(frozen=True)
class PurchaseCurves:
    """Curves of some customers, extrapolated by a buy-till-you-die model beyond the follow-up.

    Attributes
    ----------
    curves
        P(purchase within d days), d = 1 to the end of follow-up, one row each.
    process
        The model that extrapolates.
    history
        Frequency, recency and age of each (see `training.customers.survival.probability_within`).
    """

    curves: Floats
    process: BgNbd
    history: tuple[Floats, Floats, Floats]

    def probability_within(self, days: int) -> Floats:
        """Return P(purchase within so many days) of each."""
        return probability_within(self.curves, days, self.process, self.history)

    def rows(self, options: SurvivalOptions) -> list[dict[str, Any]]:
        """Return the chosen probabilities and quantiles of each, by column.

        `extrapolated` names the probabilities beyond the follow-up.
        """
        columns = {
            f"p_within_{days}": self.probability_within(days) for days in options.within_days
        }
        columns |= {
            quantile_name(level): quantile(self.curves, level) for level in options.quantiles
        }
        values = np.stack(list(columns.values()), axis=1).tolist()
        follow_up_days = self.curves.shape[1]
        beyond = [f"p_within_{days}" for days in options.within_days if days > follow_up_days]
        return [dict(zip(columns, row, strict=True)) | {"extrapolated": beyond} for row in values]


def with_options(row: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Replace the published probabilities of an answer by those that a request chose."""
    kept = {name: value for name, value in row.items() if name not in PUBLISHED_PROBABILITIES}
    return kept | chosen
