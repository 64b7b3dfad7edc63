"""A demand model and the recent past in, its forecasts from several past origins out.

A lighter copy of the model is fitted once on the records before the first origin, and forecasts
from each origin up to the last. The intervals of totals and the anomalies are measured on
these forecasts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan_ends import hidden_from
from features.demand.series import selling_series, steady_series, units_matrix
from training.models.demand.assumptions import COLUMNS as ASSUMPTIONS
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import LEVELS

# Periods before the instant at which the first origin lies, and periods between origins.
HISTORY_PERIODS = {"day": 56, "week": 24, "month": 6}
ORIGIN_STEP_PERIODS = {"day": 7, "week": 4, "month": 1}
# The most series: those that sell steadily, and a sample of all.
_MAX_STEADY, _MAX_SAMPLED = 5_000, 4_000
# Errors need fewer members and rows than the published model.
_MEMBERS, _ROUNDS, _ROWS = 2, 120, 40_000


@dataclass(frozen=True)
class HistoricalForecasts:
    """A model fitted before the recent past, and the origins that it forecasts from.

    Attributes
    ----------
    model
        Fitted on the records before the first origin.
    origins
        Instants, oldest first.
    end
        The instant up to which outcomes are known.
    """

    model: DemandModel
    origins: tuple[datetime, ...]
    end: datetime

    @classmethod
    def fit(cls, model: DemandModel, dataset: Dataset, as_of: datetime) -> Self:
        """Fit a lighter copy of a model on the records before the recent past.

        Raises
        ------
        MissingData
            If those records are too short.
        """
        grain = Grain.parse(model.grain)
        history, step = HISTORY_PERIODS[grain.freq], ORIGIN_STEP_PERIODS[grain.freq]
        back = -np.arange(history, 0, -step)
        origins = tuple(map(day_start, grain.shift(to_day(as_of), back)))
        lighter = replace(
            model,
            members=min(model.members, _MEMBERS),
            rounds=min(model.rounds, _ROUNDS),
            rows=min(model.rows or _ROWS, _ROWS),
        )
        return cls(lighter.fit(dataset, origins[0]), origins, as_of)

    def by_origin(
        self, dataset: Dataset, flag: str | None = None, plan_days: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """Forecast from each origin, up to the horizon or the last known outcome.

        Parameters
        ----------
        dataset
            The records.
        flag
            `steady` or `sampled`: only such series; by default both.
        plan_days
            Days after an origin for which its forecasts know the plan; by default all.

        Yields
        ------
        polars.DataFrame
            Of the series that sold steadily before the origin and a sample of all that sold:
            the grain's keys, `date`, `step`, `mean`, quantiles of `LEVELS`, `units` (the
            outcome), `promoted` (the planned share), and whether the series is `steady` and
            `sampled`.
        """
        grain = Grain.parse(self.model.grain)
        keys = list(grain.keys)
        for origin in self.origins:
            series = _chosen_series(dataset, grain, origin)
            series = series if flag is None else series.filter(flag)
            known = grain.between(to_day(origin), to_day(self.end))
            steps = min(grain.periods(self.model.horizon_days), known)
            planned = dataset
            if plan_days is not None:
                planned = hidden_from(dataset, grain, to_day(origin) + plan_days)
            units = units_matrix(dataset, grain, to_day(origin), steps, series, to_day(self.end))
            forecasts = pl.concat(
                self.model.forecast(frame, LEVELS).with_columns(
                    frame.get_column("step").cast(pl.Int64), _promoted(frame)
                )
                for frame in self.model.frames(planned, origin, series)
            )
            forecasts = forecasts.filter(pl.col("step") < steps).drop("basis", *ASSUMPTIONS)
            forecasts = forecasts.with_columns(pl.Series("units", units.ravel()))
            yield forecasts.join(series, on=keys, how="left", maintain_order="left")


def _chosen_series(dataset: Dataset, grain: Grain, origin: datetime) -> pl.DataFrame:
    """Return the grain's keys and the flags `steady` and `sampled`; sorted by the keys."""
    keys = list(grain.keys)
    steady = steady_series(dataset, grain, to_day(origin)).collect().to_polars()
    steady = _at_most(steady, _MAX_STEADY)
    sampled = _at_most(selling_series(dataset, grain, origin), _MAX_SAMPLED)
    series = pl.concat([steady, sampled]).unique().sort(keys)
    for column, members in (("steady", steady), ("sampled", sampled)):
        flagged = members.with_columns(pl.lit(value=True).alias(column))
        series = series.join(flagged, on=keys, how="left", maintain_order="left")
    return series.with_columns(pl.col("steady", "sampled").fill_null(value=False))


def _promoted(frame: pl.DataFrame) -> pl.Series:
    """Return the share of each row's period for which a promotion was planned, if known."""
    if "promotion_planned_any" in frame.columns:
        planned = frame.get_column("promotion_planned_any").cast(pl.Float64)
        return planned.fill_nan(0.0).alias("promoted")
    return pl.Series("promoted", [0.0] * frame.height, dtype=pl.Float64)


def _at_most(series: pl.DataFrame, count: int) -> pl.DataFrame:
    """Take at most so many series, chosen by a hash of their keys."""
    order = pl.concat_str(series.columns, separator="|").hash(seed=5)
    return series.sort(order).head(count)
