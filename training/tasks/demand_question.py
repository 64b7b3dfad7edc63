"""At which grain and how far ahead demand is asked for, by what the records can tell.

A dataset and an instant in, the demand task's options out, and the reason for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from features.calendar import MONTH_DAYS, day_start, to_day
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from features.grain import Grain
from features.rhythm import FOLDS, demand_season, rhythm
from features.series import steady_series, units_by_period
from training.models.demand_rows import (
    MIN_ROWS,
    ORIGIN_DAYS,
    ORIGINS,
    UNITS_A_PERIOD,
    WARM_UP_DAYS,
)

# From fine to coarse, each with the share of units that has to be in series that sell
# regularly. Products are ordered one by one: they are given up for categories late.
CANDIDATES = {
    "product,location:day": 0.5,
    "product:day": 0.5,
    "product,location:week": 0.5,
    "product:week": 0.25,
    "category:week": 0.0,
    "location:day": 0.0,
    "location:week": 0.0,
}
# Where the records name products and nothing coarser, and those sell seldom.
LAST_RESORT = "product:week"
# Horizons by period, the usual one first; a short history gets a shorter one. Rather than
# below the third, fewer windows are judged.
HORIZON_DAYS = {"day": (28, 21, 14, 7), "week": (56, 42, 28, 14)}
# With fewer origins a model sees one moment, not a course of time.
FEWEST_ORIGINS = 4


@dataclass(frozen=True)
class _Choice:
    grain: Grain
    reason: str


def default_grain(dataset: Dataset, as_of: datetime | None = None) -> Grain:
    """Choose the finest grain at which most of what was sold is in series that sell regularly.

    Regularly means one unit a period on average since the first sale; only sales before
    `as_of` count. Records that are dated by weeks are asked for by the week.

    Raises
    ------
    MissingData
        If the records name neither products nor locations.
    """
    return _choice(dataset, as_of).grain


def options(
    dataset: Dataset,
    *,
    grain: str | None = None,
    horizon_days: int | None = None,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Ask at the default grain, up to 28 days ahead by day or 56 by week, or as asked for.

    Raises
    ------
    InvalidInput
        If there is no such grain, or records dated by weeks are asked for by the day.
    MissingData
        If the records name neither products nor locations, or are dated by months.
    """
    _refuse_months(dataset, as_of)
    chosen = default_grain(dataset, as_of) if grain is None else Grain.parse(grain)
    if chosen.freq == "day" and rhythm(dataset, as_of).period_days > 1:
        raise InvalidInput(
            f"grain = {grain!r}: the records of dataset {dataset.name} are dated by weeks; ask by "
            f"the week, such as {str(chosen).partition(':')[0]}:week.",
            field="grain",
        )
    return {
        "grain": str(chosen),
        "horizon_days": horizon_days or _horizon(dataset, chosen, as_of or dataset.end),
    }


def reason(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:
    """Say what in the records the grain and the horizon follow from, and what season they show."""
    text = _choice(dataset, as_of).reason
    if rhythm(dataset, as_of).period_days > 1:
        text = f"records are dated by weeks; {text}"
    usual = HORIZON_DAYS[Grain.parse(options["grain"]).freq][0]
    if options["horizon_days"] < usual:
        days = rhythm(dataset, as_of).history_days
        text += f"; {usual} days ahead would need more than {days} days of history"
    return f"{text}; {demand_season(dataset, Grain.parse(options['grain']), as_of).reason}"


def needed_days(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:
    """Count the days before the oldest origin, and those that hold enough origins to learn from."""
    grain = Grain.parse(options["grain"])
    return _needed(_steady(dataset, grain, as_of), grain, options["horizon_days"])


def _choice(dataset: Dataset, as_of: datetime | None) -> _Choice:
    day = to_day(as_of or dataset.end)
    return dataset.derive(("default_grain", day), lambda: _choose(dataset, day))


def _refuse_months(dataset: Dataset, as_of: datetime | None) -> None:
    """Refuse records that tell how much was sold in a month and not when in it.

    Months differ in length by a tenth and in their weekends by a quarter, and a horizon of days
    or weeks would ask for a part of one.
    """
    if rhythm(dataset, as_of).period_days == MONTH_DAYS:
        raise MissingData(
            f"demand is forecast by the day or by the week, and the {dataset.records} of dataset "
            f"{dataset.name} are dated by months; import them by the day or by the week.",
            field=f"{dataset.records}.day",
        )


def _choose(dataset: Dataset, day: int) -> _Choice:
    weekly = rhythm(dataset, day_start(day)).period_days > 1
    for text, least in {**CANDIDATES, LAST_RESORT: 0.0}.items():
        grain = Grain.parse(text)
        if weekly and grain.freq == "day":
            continue
        try:
            share = _steady_share(dataset, grain, day)
        except MissingData:  # such as records without locations
            continue
        if share is not None and share >= least:
            return _Choice(
                grain,
                f"{share:.0%} of units are in series that sell one a {grain.freq} or more",
            )
    raise MissingData(
        f"demand needs to know what was sold or where, and dataset {dataset.name} names neither "
        f"in {dataset.records}; import product_id or location_id.",
        field=f"{dataset.records}.product_id",
    )


def _steady_share(dataset: Dataset, grain: Grain, day: int) -> float | None:
    """Share of units in series that sell regularly; None where nothing was sold."""
    units = units_by_period(dataset, grain, day).collect().to_polars()
    totals = (
        units.filter(pl.col("block") < day // grain.days)
        .group_by("series")
        .agg(pl.col("units").sum() / 1000, (day // grain.days - pl.col("block").min()).alias("age"))
    )
    sold, age = totals.get_column("units").to_numpy(), totals.get_column("age").to_numpy()
    return float(sold[sold >= age].sum() / sold.sum()) if sold.sum() > 0 else None


def _horizon(dataset: Dataset, grain: Grain, as_of: datetime) -> int:
    """Choose the longest horizon that leaves room for three windows, or for one if short."""
    days, steady = rhythm(dataset, as_of).history_days, _steady(dataset, grain, as_of)
    allowed = HORIZON_DAYS[grain.freq]
    for windows, shortest in ((FOLDS, allowed[2]), (1, 0)):
        for horizon in allowed:
            if horizon >= shortest and windows * horizon + _needed(steady, grain, horizon) <= days:
                return min(horizon, allowed[2]) if windows == 1 else horizon
    return allowed[-1]


def _steady(dataset: Dataset, grain: Grain, as_of: datetime) -> int:
    """Count the series that a model would learn from."""
    found = steady_series(dataset, grain, to_day(as_of), UNITS_A_PERIOD[grain.freq])
    return int(found.collect().shape[0])


def _needed(steady: int, grain: Grain, horizon_days: int) -> int:
    """Days that hold origins enough for twice the least number of examples."""
    rows, origins = 0.0, 0
    while origins < ORIGINS and (rows < 2 * MIN_ROWS or origins < FEWEST_ORIGINS):
        origins += 1
        ahead = min(horizon_days, origins * ORIGIN_DAYS) // grain.days
        rows += steady * ahead / 2  # half of the periods are drawn
    return WARM_UP_DAYS + origins * ORIGIN_DAYS
