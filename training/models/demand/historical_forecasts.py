"""A demand model and the recent past in, forecasts of it made without knowing it out.

The model is fitted once more, on what was known a while ago, and asked from one origin after
another up to now. The width of totals and the search for anomalies rest on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import selling_series, steady_series, units_matrix
from training.models.demand.distribution import LEVELS
from training.models.demand.model import DemandModel

# How far back is looked, and how far the origins are apart, in periods.
BACK = {"day": 56, "week": 24}
APART = {"day": 7, "week": 4}
# The series looked at: those that sell steadily, and a sample of all.
MOST_STEADY, MOST_SAMPLED = 5_000, 4_000
# The fit is one of many: errors need fewer examples than the model that is served.
_MEMBERS, _ROUNDS, _ROWS = 2, 120, 40_000


@dataclass(frozen=True)
class HistoricalForecasts:
    """A model that knows nothing of the recent past, and the origins that it is asked from.

    Attributes
    ----------
    model
        Fitted on what was known at the first origin.
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
        """Fit a lighter copy of a model on what was known before the recent past.

        Raises
        ------
        MissingData
            If the records before it are too short to learn from.
        """
        grain = Grain.parse(model.grain)
        back, apart = BACK[grain.freq], APART[grain.freq]
        origins = tuple(
            as_of - timedelta(days=grain.days * periods) for periods in range(back, 0, -apart)
        )
        lighter = replace(
            model,
            members=min(model.members, _MEMBERS),
            rounds=min(model.rounds, _ROUNDS),
            rows=min(model.rows or _ROWS, _ROWS),
        )
        return cls(lighter.fit(dataset, origins[0]), origins, as_of)

    def look_back(self, dataset: Dataset) -> Iterator[pl.DataFrame]:
        """Forecast from each origin, as far as outcomes are known; beside each its outcome.

        Yields
        ------
        polars.DataFrame
            For the series that sold steadily before the origin and a sample of all that sold:
            the grain's keys, `date`, `step`, `mean`, quantiles of `LEVELS`, `units`, the
            planned share `promoted`, and whether the series is `steady` and `sampled`.
        """
        grain = Grain.parse(self.model.grain)
        keys = list(grain.keys)
        for origin in self.origins:
            day = to_day(origin)
            steady = _some(steady_series(dataset, grain, day).collect().to_polars(), MOST_STEADY)
            sampled = _some(selling_series(dataset, grain, origin), MOST_SAMPLED)
            series = pl.concat([steady, sampled]).unique().sort(keys)
            for column, those in (("steady", steady), ("sampled", sampled)):
                marked = those.with_columns(pl.lit(value=True).alias(column))
                series = series.join(marked, on=keys, how="left", maintain_order="left")
            series = series.with_columns(pl.col("steady", "sampled").fill_null(value=False))
            known = (to_day(self.end) - day) // grain.days
            steps = min(grain.periods(self.model.horizon_days), known)
            sold = units_matrix(dataset, grain, day, steps, series)
            said = pl.concat(
                self.model.forecast(frame, LEVELS).with_columns(
                    frame.get_column("step").cast(pl.Int64), _promoted(frame)
                )
                for frame in self.model.frames(dataset, origin, series)
            )
            said = said.filter(pl.col("step") < steps).drop("basis")
            said = said.with_columns(pl.Series("units", sold.ravel()))
            yield said.join(series, on=keys, how="left", maintain_order="left")


def _promoted(frame: pl.DataFrame) -> pl.Series:
    """Say how much of each row's series and period a promotion was planned for."""
    if "promotion_planned_any" in frame.columns:
        return frame.get_column("promotion_planned_any").cast(pl.Float64).alias("promoted")
    return pl.Series("promoted", [0.0] * frame.height, dtype=pl.Float64)


def _some(series: pl.DataFrame, most: int) -> pl.DataFrame:
    """Take so many series, always the same ones."""
    order = pl.concat_str(series.columns, separator="|").hash(seed=5)
    return series.sort(order).head(most)
