"""Forecasts from a series' own past alone: what the demand model must beat.

Each reads the same history and gives the same columns; means only, no quantiles.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import polars as pl

from features.cadence import demand_season
from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import selling_series, units_matrix
from features.typing import Floats
from training.contract import DEFAULT_COUNTRY

# The last two years: what is older moves none of these forecasts.
HISTORY_DAYS = 728


@dataclass
class OwnPast(ABC):
    """A forecast made of each series' own past; there is nothing to learn beforehand."""

    grain: str = "product:week"
    horizon_days: int = 56
    country: str = DEFAULT_COUNTRY  # an option of the task; no baseline reads it
    seed: int = 0
    threads: int = 1

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Do nothing: the past is read when forecasts are made."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the grain's keys, `date` and `mean`, a row a series and period."""
        grain = Grain.parse(self.grain)
        day, steps = to_day(as_of), grain.periods(self.horizon_days)
        ids = selling_series(dataset, grain, as_of) if ids is None else ids.select(grain.keys)
        seen = max(min(HISTORY_DAYS, day - dataset.days[0]) // grain.days, 1)
        past = units_matrix(dataset, grain, day, -seen, ids)
        mean = np.broadcast_to(self.forecast(past, steps, grain), (len(past), steps))
        dates = [day_start(day + grain.days * step).date() for step in range(steps)]
        return ids.join(pl.DataFrame({"date": dates}), how="cross").with_columns(
            pl.Series("mean", mean.ravel())
        )

    @abstractmethod
    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:
        """Forecast from (series, periods); shape (series, steps), or (series, 1) if all alike."""


class Naive(OwnPast):
    """The last period again."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the last period."""
        return past[:, -1:]


@dataclass
class SeasonalNaive(OwnPast):
    """The last season again, as the records show one: the last week, year, or period alone."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Find out after how many periods demand comes round."""
        self.season_ = demand_season(dataset, Grain.parse(self.grain), as_of).periods
        return self

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the last season."""
        season = min(self.season_, past.shape[1])
        return past[:, -season:][:, np.arange(steps) % season]


class RecentMean(OwnPast):
    """The mean of the last eight weeks, or of the last 28 days where periods are days."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the mean."""
        window = {"day": 28, "week": 8}[grain.freq]
        found: Floats = past[:, -window:].mean(axis=1, keepdims=True)
        return found


class ExponentialSmoothing(OwnPast):
    """Simple exponential smoothing, its weight chosen by series; statsforecast's."""

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the smoothed level."""
        from statsforecast.models import (  # slow to import: it compiles
            SimpleExponentialSmoothingOptimized,
        )

        return _each(SimpleExponentialSmoothingOptimized(), past)


class Croston(OwnPast):
    """Croston's method for demand that comes and goes, as TSB; statsforecast's.

    Source: Teunter, Syntetos and Babai (2011).
    """

    def forecast(self, past: Floats, steps: int, grain: Grain) -> Floats:  # noqa: ARG002
        """Repeat the smoothed probability times the smoothed size."""
        from statsforecast.models import TSB  # slow to import: it compiles

        weight = {"day": 0.05, "week": 0.15}[grain.freq]
        return _each(TSB(weight, weight), past)


def _each(model: Any, past: Floats) -> Floats:
    """Run a statsforecast model over series, each from its first sale on."""
    found = np.zeros((len(past), 1))
    for row, series in enumerate(past):
        sold = np.flatnonzero(series)
        own = series[sold[0] :] if len(sold) else series[-1:]
        if len(own) < 3:
            found[row] = own.mean()
        else:
            found[row] = model.forecast(own, 1)["mean"][0]
    return np.nan_to_num(found)


BASELINES: dict[str, type[OwnPast]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "recent_mean": RecentMean,
    "ses": ExponentialSmoothing,
    "tsb": Croston,
}
