"""Forecasts that are computed on request for a few series: under another plan, or explained.

Of the published records only keys are held in memory; the rest is read for the requested series.
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
from training.models.demand.publish import load_model, load_records


@dataclass(frozen=True)
class Reforecaster:
    """The published model and the records that it reads.

    Attributes
    ----------
    model
        The model that made the published forecasts.
    records
        Sales, plans and attributes of the published series.
    """

    model: DemandModel
    records: PublishedRecords

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published demand folder."""
        return cls(load_model(folder), load_records(folder))

    def features(self, rows: list[int], plan: list[PlanRow] | None = None) -> pl.DataFrame:
        """Compute the features of series under a plan.

        Parameters
        ----------
        rows
            Rows of the series among the published forecasts, ascending.
        plan
            Promotions and prices that replace recorded ones; by default none.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            If the plan cannot be used.
        """
        ids = self.records.index[rows].select(self.records.grain.keys)
        dataset = self.records.dataset(rows, plan)
        return self.model.features(dataset, parse_as_of(self.records.as_of), ids)

    def forecast(self, frame: pl.DataFrame, levels: Sequence[float]) -> Floats:
        """Forecast from features: the mean and the quantiles of each row."""
        names = ["mean", *map(level_name, levels)]
        return self.model.forecast(frame, levels).select(names).to_numpy()

    def explain(self, frame: pl.DataFrame) -> Floats:
        """Split the mean of each row of features into units, a column for each of `REASONS`."""
        keys = [*self.records.grain.keys, "date"]
        rows = self.model.explain_features(frame)
        return rows.pivot(on="reason", index=keys, values="units").select(REASONS).to_numpy()
