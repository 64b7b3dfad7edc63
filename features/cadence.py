"""Cadence of a dataset's records: how often customers buy, and the season of demand.

A dataset and an instant go in; the gaps between visits, prediction horizons that suit them, and
the season of sales come out, each with a reason. Tasks take their default horizons from them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl
from scipy.special import fdtrc, stdtr

from features.calendar import day_start, step_days, to_day
from features.dataset import Dataset
from features.demand.closures import opening
from features.demand.grain import Grain
from features.demand.series import units_by_period
from features.memo import memo
from features.returns import net_purchases
from features.typing import Floats

# Common planning horizons: weeks up to six, then two months and whole quarters.
LADDER_WEEKS = (1, 2, 3, 4, 5, 6, 8, 13, 26, 39, 52)
# Number of evaluation windows, each as long as the horizon, that the records must have room for.
FOLDS = 3
# Share of returning customers whose usual gap fits the horizon. The 90th percentile of gaps is a
# common threshold for churn. It is taken over the customers' medians, because frequent customers
# have most of the gaps.
USUAL_GAP_QUANTILE = 0.9
# With fewer returning customers the gap is unknown, and the horizon is four weeks.
MIN_RETURNING = 30
UNKNOWN_DAYS = 28
# A weekly season is tested on the last year, from MIN_WEEKS on; a yearly one on the last three
# years, from two years on.
WEEKDAYS, YEAR_PERIODS = 7, {"week": 52, "month": 12}
MIN_WEEKS = 8
# The least open share of a period with sales that are compared; less is a closure.
_LEAST_OPEN = 0.5
# Significance level of the tests for a season.
SIGNIFICANCE = 0.001


@dataclass(frozen=True)
class Cadence:
    """Measures of the records before an instant.

    Attributes
    ----------
    history_days
        Days from the first record to the instant.
    customer_days
        Days from the first purchase of an identified customer to the instant; 0 without any.
    period_days
        7 if records are dated by week, MONTH_DAYS if by month, else 1.
    usual_gap_days
        90th percentile, over returning customers, of the median gap between a customer's visits.
        None with fewer than MIN_RETURNING of them.
    """

    history_days: int
    customer_days: int
    period_days: int
    usual_gap_days: float | None


@dataclass(frozen=True)
class Horizon:
    """A default horizon in days, and a sentence with its reason."""

    days: int
    reason: str


@dataclass(frozen=True)
class Season:
    """The season of demand.

    Attributes
    ----------
    periods
        Length in periods of the grain: 7 days, 52 weeks, 12 months, or 1 without a season.
    reason
        Sentence with the measured evidence.
    """

    periods: int
    reason: str


def cadence(dataset: Dataset, as_of: datetime | None = None) -> Cadence:
    """Measure the records before `as_of`, by default all of them."""
    day = to_day(dataset.end if as_of is None else as_of)
    return _measure(dataset, day)


def purchase_horizon(
    known: Cadence,
    history: Callable[[int], int],
    *,
    gaps: int = 1,
    shortest_days: int = 7,
) -> Horizon:
    """Choose a default horizon of customer models: a step of LADDER_WEEKS that fits the gaps.

    Parameters
    ----------
    known
        The cadence of the records.
    history
        Days of records that a model needs before the first evaluation window, by horizon.
    gaps
        Number of usual gaps that fit the horizon.
    shortest_days
        The shortest horizon that the task allows.

    Returns
    -------
    Horizon
        The shortest step that covers the gaps and leaves history for training and for FOLDS
        evaluation windows.
    """
    ladder = [7 * weeks for weeks in LADDER_WEEKS if 7 * weeks >= shortest_days]
    wanted = UNKNOWN_DAYS if known.usual_gap_days is None else _step_up(known.usual_gap_days)
    days = next((step for step in ladder if step >= gaps * wanted), ladder[-1])
    if known.usual_gap_days is None:
        reason = "too few returning customers to measure their gaps"
    else:
        reason = (
            f"nine in ten returning customers usually return within {known.usual_gap_days:.0f} days"
        )
        if gaps > 1:
            reason += f", and the horizon covers {gaps} such gaps"
    fitting = [s for s in ladder if history(s) + FOLDS * s <= known.customer_days]
    if days > max(fitting, default=ladder[0]):
        reason += f"; {days} days would need more than {known.customer_days} days of history"
        days = max(fitting, default=ladder[0])
    return Horizon(days, reason)


def demand_season(dataset: Dataset, grain: Grain, as_of: datetime | None = None) -> Season:
    """Test the units sold before `as_of` for a season.

    Daily units are tested for a weekly season, weekly and monthly units for a yearly one. Closures
    are missing values.
    """
    return _demand_season(dataset, grain, to_day(dataset.end if as_of is None else as_of))


@memo("orders", "sales", "products", "locations", "covariates")
def _demand_season(dataset: Dataset, grain: Grain, day: int) -> Season:
    phase = grain.phase(day)
    end = int(grain.number(day, phase))
    units = units_by_period(dataset, grain, day).filter(nw.col("block") < end)
    sums = units.group_by("block").agg(nw.col("units").sum()).collect().to_polars()
    if sums.is_empty():
        return Season(1, "no season: nothing was sold")
    block = sums.get_column("block").to_numpy()
    first = int(block.min())
    sold = np.zeros(end - first)
    sold[block - first] = sums.get_column("units").to_numpy()
    start = int(grain.start(first, phase))
    places = opening(dataset, grain, start, day, day)
    _, opened = places.share(grain.lengths(start, np.arange(len(sold))))
    if grain.freq == "day":
        return _weekly_season(_without_closures(sold, opened))
    sold = np.where(opened < _LEAST_OPEN, np.nan, sold / np.maximum(opened, _LEAST_OPEN))
    return _yearly_season(sold, YEAR_PERIODS[grain.freq], grain.freq)


def _without_closures(sold: Floats, opened: Floats) -> Floats:
    """Replace closed days by the mean of their weekday, except where that is usually closed.

    A weekday on which shops are closed is a part of the season; other closures are missing values.
    """
    sold = sold.copy()
    for weekday in range(WEEKDAYS):
        days = slice(weekday, None, WEEKDAYS)
        is_open = opened[days] >= _LEAST_OPEN
        if is_open.mean() > 0.5:
            sold[days] = np.where(is_open, sold[days], sold[days][is_open].mean())
    return sold


def _weekly_season(sold: Floats) -> Season:
    """Test whether weekdays differ, as shares of the week around them (F test)."""
    sold = sold[-WEEKDAYS * 52 :]
    if len(sold) < MIN_WEEKS * WEEKDAYS:
        return Season(1, f"no season: {len(sold)} days are too few to test for a weekly one")
    around = np.convolve(sold, np.full(WEEKDAYS, 1 / WEEKDAYS), mode="valid")
    days = np.flatnonzero(around > 0)
    share = sold[days + WEEKDAYS // 2] / around[days]
    by_day = [share[days % WEEKDAYS == weekday] for weekday in range(WEEKDAYS)]
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in by_day if len(part))
    explained = 1 - within / max(float(((share - share.mean()) ** 2).sum()), 1e-12)
    free = max(len(share) - WEEKDAYS, 1)
    ratio = explained / (WEEKDAYS - 1) / max((1 - explained) / free, 1e-12)
    evidence = f"weekdays explain {max(explained, 0.0):.0%} of the variance between days"
    if fdtrc(WEEKDAYS - 1, free, ratio) < SIGNIFICANCE:
        return Season(WEEKDAYS, f"season of 7 days: {evidence}")
    return Season(1, f"no season: {evidence}, which is not significant")


def _yearly_season(sold: Floats, year: int, period: str) -> Season:
    """Test whether detrended weeks or months correlate with those of a year before (t test).

    Closed ones are NaN, and left out. The effective number of periods is reduced for the
    autocorrelation of the earlier year and of the residuals (Bartlett 1935).
    """
    sold = sold[-3 * year :]
    level, number = np.log1p(sold), np.arange(len(sold))
    known = ~np.isnan(level)
    both = known[year:] & known[:-year]
    if both.sum() < year / 2 or len(sold) < 2 * year:
        return Season(1, f"no season: {known.sum()} {period}s are too few to test for a yearly one")
    detrended = level - np.polyval(np.polyfit(number[known], level[known], 1), number)
    if detrended[known].std() < 1e-9:
        return Season(1, f"no season: all {period}s are equal")
    now, before = detrended[year:], detrended[:-year]
    correlation = float(np.corrcoef(now[both], before[both])[0, 1])
    residuals = now - np.polyval(np.polyfit(before[both], now[both], 1), before)
    dependence = max(_autocorrelation(residuals) * _autocorrelation(before), 0.0)
    count = max(both.sum() * (1 - dependence) / (1 + dependence), 4.0)
    score = correlation * np.sqrt((count - 2) / max(1 - correlation**2, 1e-12))
    evidence = f"{period}s correlate with those of the year before by {correlation:.2f}"
    if stdtr(count - 2, -score) < SIGNIFICANCE:
        return Season(year, f"season of {year} {period}s: {evidence}")
    return Season(1, f"no season: {evidence}, which is not significant")


def _autocorrelation(values: Floats) -> float:
    """Return the autocorrelation at lag 1 of known values; 0 for constant ones."""
    both = ~np.isnan(values[1:]) & ~np.isnan(values[:-1])
    now, before = values[1:][both], values[:-1][both]
    if len(now) < 3 or min(now.std(), before.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(now, before)[0, 1])


def _step_up(days: float) -> int:
    last = 7 * LADDER_WEEKS[-1]
    return next((7 * weeks for weeks in LADDER_WEEKS if 7 * weeks >= days), last)


@memo("orders", "sales")
def _measure(dataset: Dataset, day: int) -> Cadence:
    records = dataset.known(dataset.records, day_start(day))
    days = records.select("day").unique().collect().to_polars().get_column("day")
    visits = _visits(dataset, day)
    first = visits.get_column("day").min()
    gaps = _median_gaps(visits)
    return Cadence(
        history_days=max(day - dataset.days[0], 0),
        customer_days=0 if first is None else day - int(first),  # type: ignore[arg-type]
        period_days=step_days(days.to_list()),
        usual_gap_days=gaps.quantile(USUAL_GAP_QUANTILE, "linear")
        if gaps.len() >= MIN_RETURNING
        else None,
    )


def _visits(dataset: Dataset, day: int) -> pl.DataFrame:
    """Return the days on which identified customers bought."""
    if not dataset.has("orders", "customer_id"):
        return pl.DataFrame(schema={"customer_id": pl.String, "day": pl.Int32})
    bought = net_purchases(dataset, day_start(day)).filter(~nw.col("customer_id").is_null())
    return bought.select("customer_id", "day").unique().collect().to_polars()


def _median_gaps(visits: pl.DataFrame) -> pl.Series:
    """Return the median days between visits of each customer with two or more."""
    gap = pl.col("day") - pl.col("day").shift(1).over("customer_id")
    gaps = visits.sort("customer_id", "day").with_columns(gap=gap).drop_nulls("gap")
    return gaps.group_by("customer_id").agg(pl.col("gap").median()).get_column("gap")
