"""Forecasts made again for a few series: under another plan, or with their reasons.

The published model and books in, numbers out; the answers about demand ask here. Of the books
only keys are held in memory: the rest is read for the series at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.calendar import parse_as_of
from features.demand.extract import PublishedRecords
from features.demand.plan import PlanRow
from features.typing import Floats
from training.models.demand.contributions import REASONS
from training.models.demand.distribution import level_name
from training.models.demand.model import DemandModel
from training.models.demand.publish import load_extract, load_model


@dataclass(frozen=True)
class DemandAgain:
    """What the published forecasts were made from.

    Attributes
    ----------
    model, records
        What was fitted, and the records and plans that it is asked about.
    """

    model: DemandModel
    records: PublishedRecords

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `publish` wrote."""
        return cls(load_model(folder), load_extract(folder))

    def features(self, rows: list[int], plan: list[PlanRow] | None = None) -> pl.DataFrame:
        """Compute the features of series, under a plan.

        Parameters
        ----------
        rows
            Rows of the series among the published forecasts, ascending.
        plan
            What is planned; by default what is booked.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            If the plan cannot be used; see `PublishedRecords.dataset`.
        """
        ids = self.records.index[rows].select(self.records.grain.keys)
        dataset = self.records.dataset(rows, plan)
        return self.model.features(dataset, parse_as_of(self.records.as_of), ids)

    def forecast(self, frame: pl.DataFrame, levels: Sequence[float]) -> Floats:
        """Forecast from features: the mean and the quantiles of each row."""
        names = ["mean", *map(level_name, levels)]
        return self.model.forecast(frame, levels).select(names).to_numpy()

    def why(self, frame: pl.DataFrame) -> Floats:
        """Say why in units, from features: a column for each of `REASONS`."""
        keys = [*self.records.grain.keys, "date"]
        wide = self.model.why(frame).pivot(on="reason", index=keys, values="units")
        return wide.select(REASONS).to_numpy()
