"""At which grain and how far ahead demand is asked for, by what the records can tell.

A dataset and an instant in, the demand task's options out, and the reason for them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import narwhals as nw

from features.cadence import FOLDS, cadence, demand_season
from features.calendar import MONTH_DAYS, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.noise_floor import NoiseFloor, noise_floor
from features.demand.series import THOUSANDTHS, steady_series, units_by_period
from features.errors import InvalidInput, MissingData
from features.memo import memo
from training.contract import DEFAULT_COUNTRY
from training.models.demand.training_rows import (
    MIN_ROWS,
    ORIGIN_DAYS,
    ORIGINS,
    UNITS_A_PERIOD,
    WARM_UP_DAYS,
)

# From fine to coarse.
CANDIDATES = (
    "product,location:day",
    "product:day",
    "product,location:week",
    "product:week",
    "category:week",
    "location:day",
    "location:week",
)
# A grain is too fine where a forecast that knew every rate would miss by more than this share
# of what sells: what is left is chance, and no plan can be made of it.
MOST_NOISE = 0.6
# Products are ordered one by one: they are given up for categories late, where less than this
# share of units is of products that sell one a week or more.
_BY_PRODUCT, _LEAST_STEADY = "product:week", 0.25
# Horizons by period, the usual one first; a short history gets a shorter one. Rather than
# below the third, fewer windows are judged.
HORIZON_DAYS = {"day": (28, 21, 14, 7), "week": (56, 42, 28, 14)}
# With fewer origins a model sees one moment, not a course of time.
FEWEST_ORIGINS = 4


def default_grain(dataset: Dataset, as_of: datetime | None = None) -> Grain:
    """Choose the finest grain that is not mostly noise, or else the one with the least.

    Products by week are chosen rather than something coarser wherever enough of them sell
    regularly. Only sales before `as_of` count; see `noise_floor`. Records that are dated by weeks
    are asked for by the week.

    Raises
    ------
    MissingData
        If the records name neither products nor locations.
    """
    instant = as_of or dataset.end
    noise = noise_by_grain(dataset, instant)
    for text, floor in noise.items():
        if floor.wape <= MOST_NOISE:
            return Grain.parse(text)
        if text == _BY_PRODUCT and _steady_share(dataset, instant) >= _LEAST_STEADY:
            return Grain.parse(text)
    if noise:
        return Grain.parse(min(noise, key=lambda text: noise[text].wape))
    raise MissingData(
        f"demand needs to know what was sold or where, and dataset {dataset.name} names neither "
        f"in {dataset.records}; import product_id or location_id.",
        field=f"{dataset.records}.product_id",
    )


def noise_by_grain(dataset: Dataset, as_of: datetime | None = None) -> dict[str, NoiseFloor]:
    """Say how much of the demand at each usual grain is noise, from fine to coarse.

    Grains that the records cannot give, or at which nothing sold of late, are left out.
    """
    instant = as_of or dataset.end
    return _noise(dataset, instant)


@memo()
def _noise(dataset: Dataset, as_of: datetime) -> dict[str, NoiseFloor]:
    weekly = cadence(dataset, as_of).period_days > 1
    found = {}
    for text in CANDIDATES:
        grain = Grain.parse(text)
        if weekly and grain.freq == "day":
            continue
        try:
            floor = noise_floor(dataset, grain, as_of)
        except MissingData:  # such as records without locations
            continue
        if floor.series:
            found[text] = floor
    return found


def options(
    dataset: Dataset,
    *,
    grain: str | None = None,
    horizon_days: int | None = None,
    as_of: datetime | None = None,
    country: str | None = None,
) -> dict[str, Any]:
    """Choose the default grain, up to 28 days ahead by day or 56 by week, unless they are given.

    `country` is the ISO code of the country whose public holidays count.

    Raises
    ------
    InvalidInput
        If there is no such grain, or records dated by weeks are asked for by the day.
    MissingData
        If the records name neither products nor locations, or are dated by months.
    """
    _refuse_months(dataset, as_of)
    chosen = default_grain(dataset, as_of) if grain is None else Grain.parse(grain)
    if chosen.freq == "day" and cadence(dataset, as_of).period_days > 1:
        raise InvalidInput(
            f"grain = {grain!r}: the records of dataset {dataset.name} are dated by weeks; ask by "
            f"the week, such as {str(chosen).partition(':')[0]}:week.",
            field="grain",
        )
    return {
        "grain": str(chosen),
        "horizon_days": horizon_days or _horizon(dataset, chosen, as_of or dataset.end),
        "country": country or DEFAULT_COUNTRY,
    }


def reason(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:
    """Say what in the records the grain and the horizon follow from, and what season they show."""
    noise, grain = noise_by_grain(dataset, as_of), options["grain"]
    finer = [text for text in noise if CANDIDATES.index(text) < CANDIDATES.index(grain)]
    text = f"{noise[grain].wape:.0%} of it is noise"
    text += "".join(f", {noise[other].wape:.0%} at {other}" for other in finer)
    if cadence(dataset, as_of).period_days > 1:
        text = f"records are dated by weeks; {text}"
    usual = HORIZON_DAYS[Grain.parse(options["grain"]).freq][0]
    if options["horizon_days"] < usual:
        days = cadence(dataset, as_of).history_days
        text += f"; {usual} days ahead would need more than {days} days of history"
    return f"{text}; {demand_season(dataset, Grain.parse(options['grain']), as_of).reason}"


def needed_days(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:
    """Count the days before the oldest origin, and those that hold enough origins to learn from."""
    grain = Grain.parse(options["grain"])
    return _needed(_steady(dataset, grain, as_of), grain, options["horizon_days"])


def _refuse_months(dataset: Dataset, as_of: datetime | None) -> None:
    """Refuse records that tell how much was sold in a month and not when in it.

    Months differ in length by a tenth and in their weekends by a quarter, and a horizon of days
    or weeks would ask for a part of one.
    """
    if cadence(dataset, as_of).period_days == MONTH_DAYS:
        raise MissingData(
            f"demand is forecast by the day or by the week, and the {dataset.records} of dataset "
            f"{dataset.name} are dated by months; import them by the day or by the week.",
            field=f"{dataset.records}.day",
        )


def _steady_share(dataset: Dataset, as_of: datetime) -> float:
    """Share of units in products that sold one a week or more since they began."""
    grain, day = Grain.parse(_BY_PRODUCT), to_day(as_of)
    block = (day - day % grain.days) // grain.days
    past = units_by_period(dataset, grain, day).filter(nw.col("block") < block)
    totals = past.group_by("series").agg(nw.col("units").sum(), nw.col("block").min())
    steady = nw.col("units") >= (block - nw.col("block")) * THOUSANDTHS
    of_all, of_steady = (
        totals.select(nw.col("units").sum()).collect().item(),
        totals.filter(steady).select(nw.col("units").sum()).collect().item(),
    )
    return float(of_steady or 0) / max(float(of_all or 0), 1.0)


def _horizon(dataset: Dataset, grain: Grain, as_of: datetime) -> int:
    """Choose the longest horizon that leaves room for three windows, or for one if short."""
    days, steady = cadence(dataset, as_of).history_days, _steady(dataset, grain, as_of)
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
