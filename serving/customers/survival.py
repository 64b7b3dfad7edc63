"""What a request reads off curves of the days to the next purchase, and its place in an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import QUANTILES, WITHIN_DAYS, check_days

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

    def read(self, curves: PurchaseCurves) -> list[dict[str, Any]]:
        """Return `PurchaseCurves.columns` of each curve, one row each."""
        levels = dict.fromkeys([*QUANTILES, *self.quantiles])
        return curves.columns(tuple(dict.fromkeys(self.within_days)), tuple(levels)).to_dicts()


def with_options(row: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Replace what a published answer reads off a curve by what a request chose."""
    kept = {name: value for name, value in row.items() if name not in PUBLISHED_PROBABILITIES}
    return kept | chosen
