"""Forecasts that are computed on request for a few series: under another plan, or explained.

Of the published records only keys are held in memory; the rest is read for the requested series.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.calendar import parse_as_of, to_day
from features.demand.extract import PublishedRecords
from features.demand.plan import complete_before, read_plan
from features.typing import Floats
from serving.demand.assumptions import Assumptions, read_assumptions
from training.models.demand.assumptions import assumptions
from training.models.demand.contributions import REASONS
from training.models.demand.model import DemandModel
from training.models.demand.publish import load_model, load_records
from training.models.demand.quantiles import level_name


@dataclass(frozen=True)
class SeriesForecasts:
    """Forecasts of some published series.

    Attributes
    ----------
    is_planned
        Whether they are under the plan of a request.
    values
        By row of the series, shape (periods, 1 + quantiles): the mean, then the quantiles. Under a
        plan two more: the mean under the recorded plan, and the difference.
    explanations
        By row of the series, shape (periods, `REASONS`), in units; empty if not requested.
    assumptions
        By row of the series, what its forecast assumes.
    """

    is_planned: bool
    values: Mapping[int, Floats]
    explanations: Mapping[int, Floats]
    assumptions: Mapping[int, Assumptions]


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

    def features(
        self,
        rows: list[int],
        plan: Sequence[Mapping[str, Any]] | None = None,
        known_until: str | None = None,
    ) -> pl.DataFrame:
        """Compute the features of series under a plan.

        Parameters
        ----------
        rows
            Rows of the series among the published forecasts, ascending.
        plan
            Promotions and prices that replace recorded ones; by default the recorded plan.
        known_until
            The last day for which the plan is complete; see `plan.complete_before`.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            If the plan cannot be used.
        """
        records = self.records
        ids = records.index[rows].select(records.grain.keys)
        if plan is None:
            dataset = records.dataset(rows)
        else:
            planned, today = read_plan(plan, records.as_of), to_day(records.as_of)
            until = complete_before(planned, known_until, today, self.model.horizon_days)
            dataset = records.dataset(rows, planned, until)
        return self.model.features(dataset, parse_as_of(records.as_of), ids)

    def forecast(
        self, frame: pl.DataFrame, levels: Sequence[float]
    ) -> tuple[Floats, list[Assumptions]]:
        """Forecast from features: the mean and the quantiles, and what is assumed, of each row."""
        names = ["mean", *map(level_name, levels)]
        forecasts = self.model.forecast(frame, levels)
        return forecasts.select(names).to_numpy(), read_assumptions(forecasts)

    def cold_start_assumptions(self) -> Assumptions:
        """Return what forecasts of series without sales assume."""
        never = pl.lit(None, dtype=pl.Int32)
        columns = assumptions(never, pl.lit(0), pl.lit(0), self.model.boosters_[0].columns)
        return read_assumptions(pl.select(columns))[0]

    def explain(self, frame: pl.DataFrame) -> Floats:
        """Split the mean of each row of features into units, a column for each of `REASONS`."""
        keys = [*self.records.grain.keys, "date"]
        rows = self.model.explain_features(frame)
        return rows.pivot(on="reason", index=keys, values="units").select(REASONS).to_numpy()
