"""What a request reads off curves of the days to the next purchase, and its place in an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.typing import Floats
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import QUANTILES, WITHIN_DAYS, check_days

Row = dict[str, Any]
# Columns of published answers beside those that are read off a curve.
KEPT = ("customer_id", "category", "basis", "explanations", "contributions")


@dataclass(frozen=True)
class SurvivalOptions:
    """What a request chooses to read off the distribution of days to the next purchase.

    Attributes
    ----------
    within_days
        For each, the probability of a purchase within so many days.
    quantiles
        Levels of the distribution.
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

    def read(self, curves: PurchaseCurves) -> list[Row]:
        """Return the fields of `schemas.NextPurchaseFacts` that each curve gives, one row each."""
        end = curves.follow_up_days
        expected = _days(curves.expected_days(), end)
        within = [curves.within(days).tolist() for days in self.within_days]
        quantiles = [_days(curves.quantile(level), end) for level in self.quantiles]
        return [
            {
                "expected_days": days,
                "extrapolated": extrapolated,
                "within": [
                    {"days": ahead, "probability": values[row], "extrapolated": ahead > end}
                    for ahead, values in zip(self.within_days, within, strict=True)
                ],
                "quantiles": [
                    {"level": level, "days": values[row][0], "extrapolated": values[row][1]}
                    for level, values in zip(self.quantiles, quantiles, strict=True)
                ],
            }
            for row, (days, extrapolated) in enumerate(expected)
        ]


def with_options(row: Row, chosen: Row) -> Row:
    """Replace what a published answer reads off a curve by what a request chose."""
    return {name: row[name] for name in KEPT if name in row} | chosen


def _days(values: Floats, follow_up: int) -> list[tuple[float | None, bool]]:
    """Return days, None for NaN, and whether they lie beyond the follow-up of the model."""
    beyond = ~(values <= follow_up)
    return [
        (None if np.isnan(value) else value, is_beyond)
        for value, is_beyond in zip(values.tolist(), beyond.tolist(), strict=True)
    ]
