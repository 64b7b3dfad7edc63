"""How far ahead a question about customers looks, by the gaps between their purchases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.cadence import Horizon, cadence, purchase_horizon
from features.dataset import Dataset
from training.customers.cutoffs import min_history_days


@dataclass(frozen=True)
class CustomerHorizon:
    """Fills what a task says of its horizon; none depends on a grain.

    Attributes
    ----------
    needed
        Days of records without which nothing can be learnt, by the horizon.
    gaps
        How many usual gaps the horizon holds.
    shortest_days
        The shortest horizon that the question allows.
    """

    needed: Callable[[int], int]
    gaps: int = 1
    shortest_days: int = 7

    def usual(self, dataset: Dataset, as_of: datetime | None) -> Horizon:
        """Choose by the gaps known at `as_of`."""
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
        """Ask about the usual horizon, or the days asked for."""
        return {"horizon_days": horizon_days or self.usual(dataset, as_of).days}

    def reason(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:  # noqa: ARG002
        """Say why the horizon is what it is."""
        return self.usual(dataset, as_of).reason

    def needed_days(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:  # noqa: ARG002
        """Count the days without which nothing can be learnt."""
        return self.needed(options["horizon_days"])

    def least_days(self, dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:  # noqa: ARG002
        """Count the days without which nothing can be answered."""
        return min_history_days(options["horizon_days"], self.needed(options["horizon_days"]))
