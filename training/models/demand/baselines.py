"""Forecasts from each series' own past alone, which the demand model must beat.

Each reads the same history and returns the same columns: means only, no quantiles.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import polars as pl

from features.cadence import demand_season
from features.calendar import to_date, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import selling_series, units_matrix
from features.typing import Floats
from training.contract import DEFAULT_COUNTRY

# Two years: older sales change none of these forecasts.
HISTORY_DAYS = 728


@dataclass
class HistoryBaseline(ABC):
    """A forecast from each series' own past, without parameters to fit."""

    grain: str = "product:week"
    horizon_days: int = 56
    country: str = DEFAULT_COUNTRY  # an option of the task; no baseline reads it
    seed: int = 0
    threads: int = 1

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Do nothing: `predict` reads the past."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the grain's keys, `date` and `mean`, a row per series and period."""
        grain = Grain.parse(self.grain)
        day, steps = to_day(as_of), grain.periods(self.horizon_days)
        ids = selling_series(dataset, grain, as_of) if ids is None else ids.select(grain.keys)
        periods = max(min(HISTORY_DAYS // grain.days, grain.between(dataset.days[0], day)), 1)
        past = units_matrix(dataset, grain, day, -periods, ids)
        mean = np.broadcast_to(self.forecast(past, steps, grain), (len(past), steps))
        dates = [to_date(first) for first in grain.shift(day, np.arange(steps))]
        return ids.join(pl.DataFrame({"date": dates}), how="cross").with_columns(
            pl.Series("mean", mean.ravel())
        )

    @abstractmethod
    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:
        """Forecast units of shape (series, steps), or (series, 1) if all steps are equal.

        `past` has shape (series, periods), the latest period last.
        """


class Naive(HistoryBaseline):
    """The last period, repeated."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the last period."""
        return past[:, -1:]


@dataclass
class SeasonalNaive(HistoryBaseline):
    """The last season, repeated: a week, a year, or one period if the records show no season."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Find the length of the season."""
        self.season_ = demand_season(dataset, Grain.parse(self.grain), as_of).periods
        return self

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the last season."""
        season = min(self.season_, past.shape[1])
        return past[:, -season:][:, np.arange(steps) % season]


class RecentMean(HistoryBaseline):
    """The mean of the last 8 weeks, the last 28 days or the last three months."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the mean."""
        window = {"day": 28, "week": 8, "month": 3}[grain.freq]
        mean: Floats = past[:, -window:].mean(axis=1, keepdims=True)
        return mean


class ExponentialSmoothing(HistoryBaseline):
    """Simple exponential smoothing with a weight fitted per series, by statsforecast."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the smoothed level."""
        from statsforecast.models import (  # slow to import: it compiles
            SimpleExponentialSmoothingOptimized,
        )

        return _forecast_each(SimpleExponentialSmoothingOptimized(), past)


class Croston(HistoryBaseline):
    """The TSB variant of Croston's method for intermittent demand, by statsforecast.

    Source: Teunter, Syntetos and Babai (2011).
    """

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the smoothed probability times the smoothed size."""
        from statsforecast.models import TSB  # slow to import: it compiles

        weight = {"day": 0.05, "week": 0.15, "month": 0.3}[grain.freq]
        return _forecast_each(TSB(weight, weight), past)


def _forecast_each(model: Any, past: Floats) -> Floats:
    """Apply a statsforecast model to each series from its first sale on; shape (series, 1)."""
    forecasts = np.zeros((len(past), 1))
    for row, series in enumerate(past):
        sold = np.flatnonzero(series)
        since_first = series[sold[0] :] if len(sold) else series[-1:]
        if len(since_first) < 3:
            forecasts[row] = since_first.mean()
        else:
            forecasts[row] = model.forecast(since_first, 1)["mean"][0]
    return np.nan_to_num(forecasts)


BASELINES: dict[str, type[HistoryBaseline]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "recent_mean": RecentMean,
    "ses": ExponentialSmoothing,
    "tsb": Croston,
}
