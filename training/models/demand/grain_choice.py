"""A dataset and an instant in; the grain and horizon of the demand task, with reasons, out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import narwhals as nw

from features.cadence import FOLDS, cadence, demand_season
from features.calendar import MONTH_DAYS, to_day
from features.dataset import Dataset
from features.demand.grain import PERIOD_DAYS, Grain
from features.demand.noise_floor import NoiseFloor, noise_floor
from features.demand.series import THOUSANDTHS, steady_series, units_by_period
from features.errors import InvalidInput, MissingData
from features.memo import memo
from training.contract import DEFAULT_COUNTRY
from training.models.demand.training_rows import (
    MIN_ROWS,
    MIN_UNITS_PER_PERIOD,
    ORIGIN_DAYS,
    ORIGINS,
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
    "product,location:month",
    "product:month",
    "category:month",
    "location:month",
)
# A grain is too fine where even a forecast that knew every rate would have a higher WAPE: most
# of its demand is chance.
MAX_NOISE = 0.6
# Orders are placed by product: categories replace products only where less than this share of
# units is of products that sell at least one a week.
_BY_PRODUCT, _MIN_STEADY_SHARE = ("product:week", "product:month"), 0.25
# Horizons by period, the default first. A shorter history gets a shorter horizon; rather than
# one below the third, fewer folds are evaluated.
HORIZON_DAYS = {"day": (28, 21, 14, 7), "week": (56, 42, 28, 14), "month": (92, 61, 31)}
# With fewer origins a model sees one season of the year alone.
MIN_ORIGINS = 4


def default_grain(dataset: Dataset, as_of: datetime | None = None) -> Grain:
    """Choose the finest grain that is not mostly noise, or else the least noisy.

    `product:week` is preferred to anything coarser where enough products sell steadily. Only
    sales before `as_of` count; see `features.demand.noise_floor`. Records dated by weeks have
    weekly grains only, those by months monthly ones, and no others have these.

    Raises
    ------
    MissingData
        If the records have neither products nor locations.
    """
    instant = as_of or dataset.end
    noise = noise_by_grain(dataset, instant)
    for text, floor in noise.items():
        if floor.wape <= MAX_NOISE:
            return Grain.parse(text)
        if text in _BY_PRODUCT and _steady_share(dataset, instant, text) >= _MIN_STEADY_SHARE:
            return Grain.parse(text)
    if noise:
        return Grain.parse(min(noise, key=lambda text: noise[text].wape))
    raise MissingData(
        f"demand needs products or locations, and dataset {dataset.name} has neither in "
        f"{dataset.records}; import product_id or location_id.",
        field=f"{dataset.records}.product_id",
    )


def noise_by_grain(dataset: Dataset, as_of: datetime | None = None) -> dict[str, NoiseFloor]:
    """Return the noise floor of demand at each candidate grain, from fine to coarse.

    Grains without the necessary columns, or without recent sales, are left out.
    """
    return _noise(dataset, as_of or dataset.end)


@memo()
def _noise(dataset: Dataset, as_of: datetime) -> dict[str, NoiseFloor]:
    recorded = cadence(dataset, as_of).period_days
    suited = {1: ("day", "week"), 7: ("week",), MONTH_DAYS: ("month",)}[recorded]
    floors = {}
    for text in CANDIDATES:
        grain = Grain.parse(text)
        if grain.freq not in suited:
            continue
        try:
            floor = noise_floor(dataset, grain, as_of)
        except MissingData:  # such as records without locations
            continue
        if floor.series:
            floors[text] = floor
    return floors


def options(
    dataset: Dataset,
    *,
    grain: str | None = None,
    horizon_days: int | None = None,
    as_of: datetime | None = None,
    country: str | None = None,
) -> dict[str, Any]:
    """Return the grain and horizon, given or suited to the records, and the country.

    `country` is the ISO code of the country whose public holidays count.

    Raises
    ------
    InvalidInput
        If the grain is unknown, or finer than the records are dated.
    MissingData
        If the records have neither products nor locations.
    """
    chosen = default_grain(dataset, as_of) if grain is None else Grain.parse(grain)
    recorded = {7: "week", MONTH_DAYS: "month"}.get(cadence(dataset, as_of).period_days, "day")
    if chosen.days < PERIOD_DAYS[recorded]:
        raise InvalidInput(
            f"grain = {grain!r}: the records of dataset {dataset.name} are dated by {recorded}s; "
            f"use {str(chosen).partition(':')[0]}:{recorded}, or import finer records.",
            field="grain",
        )
    return {
        "grain": str(chosen),
        "horizon_days": horizon_days or _horizon(dataset, chosen, as_of or dataset.end),
        "country": country or DEFAULT_COUNTRY,
    }


def reason(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:
    """Return the noise, history and season in the records from which the options follow."""
    noise, grain = noise_by_grain(dataset, as_of), options["grain"]
    finer = [text for text in noise if CANDIDATES.index(text) < CANDIDATES.index(grain)]
    text = f"{noise[grain].wape:.0%} of it is noise"
    text += "".join(f", {noise[other].wape:.0%} at {other}" for other in finer)
    recorded = {7: "weeks", MONTH_DAYS: "months"}.get(cadence(dataset, as_of).period_days)
    if recorded:
        text = f"records are dated by {recorded}; {text}"
    default = HORIZON_DAYS[Grain.parse(grain).freq][0]
    if options["horizon_days"] < default:
        days = cadence(dataset, as_of).history_days
        text += f"; {default} days ahead would need more than {days} days of history"
    return f"{text}; {demand_season(dataset, Grain.parse(grain), as_of).reason}"


def needed_days(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:
    """Return the days of records that hold a warm-up and enough origins to fit on."""
    grain = Grain.parse(options["grain"])
    return _needed(_steady_count(dataset, grain, as_of), grain, options["horizon_days"])


def least_days(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:
    """Return the days of records without which demand is not forecast.

    Beyond the usual horizons the records have to reach as far ahead of an origin as the forecast.
    """
    horizon, usual = options["horizon_days"], HORIZON_DAYS[Grain.parse(options["grain"]).freq][0]
    needed = needed_days(dataset, options, as_of)
    return max(needed, WARM_UP_DAYS + horizon) if horizon > usual else needed


def _steady_share(dataset: Dataset, as_of: datetime, text: str) -> float:
    """Return the share of units of series that sold at least one a period since they began."""
    grain, day = Grain.parse(text), to_day(as_of)
    block = grain.number(day, grain.phase(day))
    past = units_by_period(dataset, grain, day).filter(nw.col("block") < block)
    totals = past.group_by("series").agg(nw.col("units").sum(), nw.col("block").min())
    steady = nw.col("units") >= (block - nw.col("block")) * THOUSANDTHS
    all_units, steady_units = (
        totals.select(nw.col("units").sum()).collect().item(),
        totals.filter(steady).select(nw.col("units").sum()).collect().item(),
    )
    return float(steady_units or 0) / max(float(all_units or 0), 1.0)


def _horizon(dataset: Dataset, grain: Grain, as_of: datetime) -> int:
    """Return the longest horizon that leaves room for three folds, or for one if short."""
    days, steady = cadence(dataset, as_of).history_days, _steady_count(dataset, grain, as_of)
    allowed = HORIZON_DAYS[grain.freq]
    for folds, shortest in ((FOLDS, allowed[2]), (1, 0)):
        for horizon in allowed:
            if horizon >= shortest and folds * horizon + _needed(steady, grain, horizon) <= days:
                return min(horizon, allowed[2]) if folds == 1 else horizon
    return allowed[-1]


def _steady_count(dataset: Dataset, grain: Grain, as_of: datetime) -> int:
    """Return the number of series in training rows."""
    steady = steady_series(dataset, grain, to_day(as_of), MIN_UNITS_PER_PERIOD[grain.freq])
    return int(steady.collect().shape[0])


def _needed(steady: int, grain: Grain, horizon_days: int) -> int:
    """Return the days that hold origins for twice the least number of rows."""
    rows, origins, apart = 0.0, 0, max(ORIGIN_DAYS, grain.days)
    while origins * apart < ORIGINS * ORIGIN_DAYS and (
        rows < 2 * MIN_ROWS or origins < MIN_ORIGINS
    ):
        origins += 1
        ahead = min(horizon_days, origins * apart) // grain.days
        rows += steady * ahead / 2  # `training_rows` draws at most half of the periods
    return WARM_UP_DAYS + origins * apart
