"""A dataset and an instant in, labelled rows of past origins out; what the demand model learns."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.calendar import day_start
from features.dataset import Dataset
from features.demand import demand
from features.errors import MissingData
from features.grain import Grain
from features.series import steady_series, units_sold

# Origins are a week apart over the last year: further back the assortment is another one.
ORIGIN_DAYS = 7
ORIGINS = 52
# Before its first origin a series needs this much past to be described.
WARM_UP_DAYS = 56
# Slower series teach little about sizes, and there are many of them.
UNITS_A_PERIOD = 0.5
# With fewer examples there is nothing to learn.
MIN_ROWS = 100


@dataclass(frozen=True)
class Sample:
    """How much of the past is used.

    Attributes
    ----------
    rows
        The most rows to keep; fitting costs in proportion.
    seed
        Chooses which series and periods those are.
    country
        Whose public holidays count.
    """

    rows: int
    seed: int
    country: str


def training_rows(
    dataset: Dataset, grain: Grain, as_of_day: int, horizon_days: int, sample: Sample
) -> pl.DataFrame:
    """Stack past origins: the features of `demand`, `origin` (day) and the label `units`.

    A series takes part at an origin if it sold regularly before that origin: chosen by what
    came later, the rows would be of series that did better than could be expected. Periods
    that had not ended at `as_of` are left out.

    Raises
    ------
    MissingData
        If the records are too short, or nothing sells regularly.
    """
    first, _ = dataset.days
    origins = [as_of_day - ORIGIN_DAYS * k for k in range(1, ORIGINS + 1)]
    origins = [o for o in origins if o - WARM_UP_DAYS >= first and o + grain.days <= as_of_day]
    steps = {o: min(horizon_days, (as_of_day - o) // grain.days * grain.days) for o in origins}
    # Half of the periods of twice the series: periods of one series tell much the same.
    periods = sum(steps.values()) / grain.days
    series_each = max(int(2 * sample.rows / max(periods, 1)), 20)
    rng = np.random.default_rng(sample.seed)
    parts = []
    for origin in origins:
        steady = steady_series(dataset, grain, origin, UNITS_A_PERIOD).collect().to_polars()
        if steady.height > series_each:
            steady = steady[np.sort(rng.choice(steady.height, series_each, replace=False))]
        frame = demand(
            dataset, grain, day_start(origin), steps[origin], steady, country=sample.country
        )
        part = frame.collect().to_polars()
        part = part.filter(pl.Series(rng.random(part.height) < 0.5, dtype=pl.Boolean))
        sold = units_sold(dataset, grain, origin, steps[origin] // grain.days)
        labelled = part.join(
            sold.collect().to_polars(),
            on=[*grain.keys, "step"],
            how="left",
            maintain_order="left",
        )
        parts.append(labelled.with_columns(pl.col("units").fill_null(0.0), origin=pl.lit(origin)))
    rows = pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
    if rows.height < MIN_ROWS:
        raise MissingData(
            f"Demand at the grain {grain} has {rows.height} examples in dataset {dataset.name} "
            f"before the day it should be known at; it needs {WARM_UP_DAYS} days of records and "
            "series that sell about once a period. Choose a coarser grain or a later date.",
            field="grain",
        )
    return rows
