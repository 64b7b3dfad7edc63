"""Horizons of tasks about customers, chosen by the gaps between purchases.

In: a dataset and an instant. Out: the horizon in days, its reason and the records it requires.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.cadence import Horizon, cadence, purchase_horizon
from features.dataset import Dataset
from training.customers.cutoffs import min_history_days
from training.customers.survival import CUTOFF_STEP_DAYS, WITHIN_DAYS


@dataclass(frozen=True)
class CustomerHorizon:
    """Functions of a task that depend on its horizon; none depends on a grain or a country.

    Attributes
    ----------
    needed
        Days of records required for training, by the horizon.
    gaps
        Number of usual gaps that the horizon covers.
    shortest_days
        Lower bound of the horizon.
    """

    needed: Callable[[int], int]
    gaps: int = 1
    shortest_days: int = 7

    def usual(self, dataset: Dataset, as_of: datetime | None) -> Horizon:
        """Choose the horizon by the gaps known at `as_of`."""
        return purchase_horizon(
            cadence(dataset, as_of),
            self.needed,
            gaps=self.gaps,
            shortest_days=self.shortest_days,
        )

    def options(
        self,
        dataset: Dataset,
        *,
        grain: str | None = None,  # noqa: ARG002
        horizon_days: int | None = None,
        as_of: datetime | None = None,
        country: str | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the given horizon, by default the usual one."""
        return {"horizon_days": horizon_days or self.usual(dataset, as_of).days}

    def reason(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:  # noqa: ARG002
        """Return the reason of the usual horizon."""
        return self.usual(dataset, as_of).reason

    def needed_days(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:  # noqa: ARG002
        """Return the days of records required for training."""
        return self.needed(options["horizon_days"])

    def least_days(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:  # noqa: ARG002
        """Return the days of records required for any prediction."""
        return min_history_days(options["horizon_days"], self.needed(options["horizon_days"]))


# Horizon of churn and value: a customer who buys nothing for longer than the usual gap behaves
# unusually. The newest training cutoff needs one horizon of follow-up and one of records before it.
HORIZON = CustomerHorizon(needed=lambda days: 2 * days)
# Follow-up of the next purchase: two usual gaps, and at least as long as the longest published
# probability reaches. The newest training cutoff needs CUTOFF_STEP_DAYS of follow-up.
FOLLOW_UP = CustomerHorizon(
    needed=lambda days: days + CUTOFF_STEP_DAYS,
    gaps=2,
    shortest_days=max(WITHIN_DAYS),
)
